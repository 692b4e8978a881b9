// The boxes that pass the filters, in order, and the decisions about them. The next boxes are loaded
// in advance, so that they appear at once.

import { Images, request } from "./common.js";

const PRELOADED = 8; // boxes and images
const SKIPPED = 8; // most boxes to skip where another reviewer decides about the same ones

export class ReviewQueue {
  constructor() {
    this.boxes = new Map(); // number → the box, as the server describes it
    this.images = new Images();
    this.numbers = [];
    this.position = 0; // of the shown box
    this.isShared = false; // whether boxes that others decide about leave the queue
    this.decided = []; // numbers of the boxes that I decided about on this page, for undo
    this.seen = 0; // decisions of others that this page knows
    this.filters = 0; // how often the filters have changed
  }

  get number() {
    return this.numbers[this.position];
  }

  get left() {
    return this.numbers.length - this.position;
  }

  get box() {
    return this.boxes.get(this.number);
  }

  // Take over the boxes that pass the filters; the news, or null if the filters have changed since.
  async filter(values) {
    const change = ++this.filters;
    const news = await request(`numbers?${new URLSearchParams(values)}`);
    if (change !== this.filters) return null;
    this.isShared = values.decided_by === "nobody";
    this.numbers = news.numbers;
    this.position = 0;
    return news;
  }

  nearby() {
    return this.numbers.slice(this.position, this.position + PRELOADED);
  }

  async fetch(numbers) {
    const missing = numbers.filter((number) => !this.boxes.has(number));
    if (!missing.length) return;
    for (const box of await request(`boxes?numbers=${missing}`)) this.boxes.set(box.number, box);
  }

  // Make sure that the shown box is known; errors of the next ones are passed to `report`.
  async load(report) {
    this.images.preload(this.nearby());
    const loading = this.fetch(this.nearby());
    if (this.box) loading.catch(report);
    else await loading;
  }

  // Store a decision, and go to the next box; after `undo` to the box itself. The news.
  async decide(number, verdict, { category, x, y, w, h }) {
    const body = JSON.stringify({ number, verdict, category, x, y, w, h, seen: this.seen });
    const news = await request("decide", { method: "POST", body });
    this.boxes.set(number, news.box);
    if (verdict === "undo") this.position = Math.max(this.numbers.indexOf(number), 0);
    else {
      this.decided.push(number);
      this.position += 1;
      if (this.isShared && news.by_others.includes(number)) this.skip();
    }
    return news;
  }

  // Another reviewer decides about the same boxes at the same time: leave some to them.
  skip() {
    const left = this.numbers.length - 1 - this.position;
    const steps = Math.min(Math.ceil(Math.random() * SKIPPED), Math.max(left, 0));
    this.numbers.push(...this.numbers.splice(this.position, steps));
  }

  // Boxes that others have decided about leave the part of the queue that was not shown yet.
  takeNews({ by_others, seen }, isShown) {
    this.seen = seen;
    if (!this.isShared || !by_others.length) return;
    const gone = new Set(by_others);
    const start = this.position + (isShown ? 1 : 0);
    const next = this.numbers.slice(start).filter((number) => !gone.has(number));
    this.numbers = [...this.numbers.slice(0, start), ...next];
  }

  // Take back my last decision; undefined if there is none.
  async undo() {
    const number = this.decided.at(-1) ?? (this.box?.verdict ? this.number : undefined);
    if (number === undefined) return undefined;
    if (!this.numbers.includes(number)) this.numbers.splice(this.position, 0, number);
    await this.fetch([number]);
    const news = await this.decide(number, "undo", this.boxes.get(number));
    this.decided.pop();
    return news;
  }

  move(steps) {
    this.position = Math.min(Math.max(this.position + steps, 0), this.numbers.length);
  }

  // Go to a box of the same frame, which may not pass the filters.
  goTo(number) {
    const place = this.numbers.indexOf(number);
    if (place >= 0) this.position = place;
    else this.numbers.splice(this.position, 0, number);
  }
}
