// Everything beside the image: the box, its classes, progress, agreement, and the last page.

import { element, make, plural } from "./common.js";

export const FILTERS = ["decided_by", "category", "status", "video_id", "min_score", "max_score"];
export const NUMBERED = 9; // classes that have a key

export function filterValues() {
  return Object.fromEntries(FILTERS.map((name) => [name, element(name).value]));
}

export function fillFilters(filters) {
  for (const [id, names] of Object.entries(filters)) {
    element(id).append(...names.map((name) => new Option(name, name)));
  }
}

export function showMessage(text, isError = false) {
  element("message").textContent = text;
  element("message").classList.toggle("error", isError);
}

export function showProblem(text) {
  element("problem").hidden = !text;
  element("problem").textContent = text;
}

export function showNotice(text) {
  element("notice").hidden = !text;
  element("notice-text").textContent = text;
}

// Text that has not changed stays, so that a screen reader does not read it again.
function setText(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

export function showProgress({ boxes, decided, own }, left) {
  element("bar").max = boxes;
  element("bar").value = decided;
  setText("progress", `${decided} of ${boxes} decided, ${own} by me; ${left} left in this list`);
}

export function agreementText(agreement, reviewer) {
  const lines = agreement.map((pair) => {
    const other = pair.reviewer === reviewer ? pair.other : pair.reviewer;
    const kappa = pair.kappa === null ? "not defined" : pair.kappa.toFixed(2);
    const agreed = Math.round(100 * pair.agreed);
    return `Agreement with ${other} on ${plural(pair.boxes, "box")}: ${agreed} %, κ ${kappa}.`;
  });
  return lines.join(" ");
}

export function showAgreement(text) {
  setText("agreement", text);
  setText("end-agreement", text);
}

// The classes that a box can get by one key: those of the video, then others.
export function quickClasses(box, all) {
  return [...new Set([...box.categories, ...all])].slice(0, NUMBERED);
}

export function showBox(box, draft, classes, choose) {
  element("title").textContent = `${draft.category}, score ${box.score.toFixed(3)}`;
  const mine = box.verdict ? ` · my decision: ${box.verdict}` : "";
  element("details").textContent =
    `${box.status} · video ${box.video_id} (${box.categories.join(" + ")})` +
    ` at ${box.time_s.toFixed(2)} s${mine}`;
  const buttons = classes.map((name, n) => {
    const button = make("button", "", ` ${name}`, () => choose(name));
    button.prepend(make("kbd", "", String(n + 1)));
    button.setAttribute("aria-pressed", String(name === draft.category));
    return button;
  });
  element("categories").replaceChildren(...buttons);
}

export function showDraft(changes) {
  element("draft").hidden = !changes.length;
  element("changes").textContent = `Not saved yet: ${changes.join(", ")}.`;
  element("accept-label").textContent = changes.length ? "Save" : "Accept";
}

export function showEnd({ progress, file, command }) {
  const { boxes, decided, own } = progress;
  const left = boxes - decided;
  element("end-title").textContent = left
    ? `${plural(left, "box")} of ${boxes} without a decision`
    : `All ${plural(boxes, "box")} are decided`;
  element("end-counts").textContent = `You decided about ${plural(own, "box")}.`;
  element("end-file").textContent = file;
  element("command").textContent = command;
  element("back").hidden = !left;
  element("mine").hidden = !own;
}
