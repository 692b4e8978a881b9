// The boxes of each frame: as shown, and as stored. A change is sent at once, and again until the
// server has written it to the disk. A box {id, category, x, y, w, h} is never modified.

import { request } from "./common.js";

const RETRY_MS = 2000; // after an error
const SETTLE_MS = 1000;
const SIDES = ["x", "y", "w", "h"];
let lastId = 0;

const delay = (ms) => new Promise((go) => setTimeout(go, ms));
const plain = ({ category, x, y, w, h }) => ({ category, x, y, w, h });
const isEqual = (a, b) => a.category === b.category && SIDES.every((side) => a[side] === b[side]);

export function newBox(box) {
  return { ...plain(box), id: ++lastId };
}

// The state of a frame as the server describes it; `rows` are the places of boxes in the file.
function stateOf({ number, version, boxes, nothing_sounds, suggestions }) {
  const state = { number, version, nothing_sounds, suggestions, saving: null };
  state.boxes = boxes.map(newBox);
  state.rows = new Map(state.boxes.map((box, row) => [box.id, row]));
  state.stored = { boxes: state.boxes, nothing_sounds };
  return state;
}

function isStored({ boxes, nothing_sounds, stored }) {
  return (
    nothing_sounds === stored.nothing_sounds &&
    boxes.length === stored.boxes.length &&
    boxes.every((box) => stored.boxes.some((other) => other.id === box.id && isEqual(other, box)))
  );
}

export class Store {
  // `report(kind, …)` is called with "changed", "stored", "conflict" or "error".
  constructor(report) {
    this.report = report;
    this.states = new Map();
    this.undoable = []; // {number, boxes, nothing_sounds, merge}
  }

  async load(number) {
    if (this.states.has(number)) return;
    const state = stateOf(await request(`state/${number}`));
    if (!this.states.has(number)) this.states.set(number, state);
  }

  get(number) {
    return this.states.get(number);
  }

  isPending() {
    return [...this.states.values()].some((state) => state.saving);
  }

  // Wait until everything is stored, but not for ever: the server may have ended.
  async settle() {
    const saving = [...this.states.values()].filter((state) => state.saving);
    for (const state of saving) state.hurry?.();
    await Promise.race([Promise.all(saving.map((state) => state.saving)), delay(SETTLE_MS)]);
  }

  // Forget frames without a change to send, so that they are read again: the file may have changed,
  // and boxes of one frame are suggested on others. The shown frame is kept.
  forget(shown) {
    for (const { saving, number } of [...this.states.values()]) {
      if (!saving && number !== shown) this.states.delete(number);
    }
  }

  // Show and store another content of a frame. Successive changes with the same `merge` are
  // undone together.
  change(number, { boxes, nothing_sounds = false }, { merge = null, delayMs = 0 } = {}) {
    const state = this.states.get(number);
    const last = this.undoable.at(-1);
    if (!merge || !last || last.merge !== merge || last.number !== number) {
      const { boxes: before, nothing_sounds: empty } = state;
      this.undoable.push({ number, boxes: before, nothing_sounds: empty, merge });
    }
    Object.assign(state, { boxes, nothing_sounds });
    this.save(state, delayMs);
    this.report("changed", state);
  }

  // Number of the frame whose last change is to be undone.
  lastChanged() {
    return this.undoable.at(-1)?.number;
  }

  undo() {
    const { number, boxes, nothing_sounds } = this.undoable.pop();
    const state = this.states.get(number);
    Object.assign(state, { boxes, nothing_sounds });
    this.save(state);
    this.report("changed", state);
  }

  save(state, delayMs = 0) {
    state.saving ??= this.send(state, delayMs).finally(() => {
      state.saving = null;
      this.report("stored", state);
    });
  }

  async send(state, delayMs) {
    await Promise.race([delay(delayMs), new Promise((go) => (state.hurry = go))]);
    while (!isStored(state)) {
      const rowOf = (box) => state.rows.get(box.id) ?? state.rows.size; // new boxes come last
      const sent = [...state.boxes].sort((a, b) => rowOf(a) - rowOf(b));
      const rows = sent.map((box) => ({ ...plain(box), row: state.rows.get(box.id) ?? null }));
      const { number, version, nothing_sounds } = state;
      const body = JSON.stringify({ number, version, nothing_sounds, boxes: rows });
      try {
        const result = await request("answer", { method: "POST", body });
        accept(state, sent, result.state);
        this.report("answered", state, result.progress);
      } catch (error) {
        if (error.status === 409) {
          merge(state, error.body.state);
          this.report("conflict", state);
        } else {
          this.report("error", state, error);
          await delay(RETRY_MS);
        }
      }
    }
  }
}

// The server has stored `sent`: its boxes are now rounded, and have places in the file.
function accept(state, sent, { version, boxes, nothing_sounds }) {
  const stored = sent.map((box, row) => ({ ...plain(boxes[row]), id: box.id }));
  const isSame = (box, row) => box === sent[row];
  state.boxes = state.boxes.map((box) => stored.find((_, row) => isSame(box, row)) ?? box);
  state.rows = new Map(stored.map((box, row) => [box.id, row]));
  Object.assign(state, { version, stored: { boxes: stored, nothing_sounds } });
}

// Somebody else has changed the frame. Boxes that I did not touch are as theirs; what I drew,
// moved or deleted since the last answer stays so. Boxes that both changed are shown twice.
function merge(state, theirs) {
  const before = [...state.stored.boxes];
  const rows = new Map();
  const stored = [];
  const merged = [];
  theirs.boxes.forEach((box, row) => {
    const place = before.findIndex((other) => isEqual(other, box));
    const known = place < 0 ? null : before.splice(place, 1)[0];
    const their = known ?? newBox(box);
    stored.push(their);
    rows.set(their.id, row);
    if (!known) merged.push(their);
    else merged.push(...state.boxes.filter((mine) => mine.id === known.id));
  });
  const untouched = (mine) => before.some((other) => other.id === mine.id && isEqual(other, mine));
  for (const mine of state.boxes) {
    if (!merged.some((box) => box.id === mine.id || isEqual(box, mine)) && !untouched(mine)) {
      merged.push(mine);
    }
  }
  const nothing_sounds = !merged.length && (theirs.nothing_sounds || state.nothing_sounds);
  state.stored = { boxes: stored, nothing_sounds: theirs.nothing_sounds };
  Object.assign(state, { version: theirs.version, rows, boxes: merged, nothing_sounds });
}
