// Everything beside the image: the frame's description, its boxes, progress, and the last page.

import { element, make, plural } from "./common.js";

const percent = (fraction) => Math.round(100 * fraction);

export function showFrame(frame, place) {
  element("title").textContent = `${frame.video_id} at ${frame.time_s.toFixed(2)} s`;
  const chips = frame.categories.map((name, n) => {
    const chip = make("span", "chip", name);
    if (n < 9) chip.prepend(make("kbd", "", String(n + 1)));
    return chip;
  });
  element("categories").replaceChildren(...chips);
  element("place").textContent = place;
  element("silent").hidden = frame.audible;
}

// The boxes of the frame. `actions`: select(box), rename(box), remove(box)
export function showBoxes(frame, state, selectedId, colorOf, actions) {
  const items = state.boxes.map((box) => {
    const item = make("li", box.id === selectedId ? "selected" : "", "");
    const name = make("button", "name", box.category, () => actions.rename(box));
    name.title = "change the class";
    name.style.setProperty("--color", colorOf(box.category));
    const size = `${percent(box.w)} × ${percent(box.h)} %`;
    item.append(name, make("button", "size", size, () => actions.select(box)));
    const remove = make("button", "remove", "×", () => actions.remove(box));
    remove.ariaLabel = `delete the box ${box.category}`;
    item.append(remove);
    if (!frame.categories.includes(box.category)) {
      item.append(make("p", "warning", "not a class of this video: the box will not count"));
    }
    return item;
  });
  element("list").replaceChildren(...items);
  const missing = frame.categories.filter(
    (name) => !state.boxes.some((box) => box.category === name),
  );
  let hint = "Draw a box around what makes the sound.";
  if (state.nothing_sounds) hint = "Nothing sounds here. Draw a box to change this.";
  else if (state.boxes.length) hint = missing.length ? `no box yet: ${missing.join(", ")}` : "";
  element("hint").textContent = hint;
}

export function showSuggestions(suggestions, accept) {
  element("suggested").hidden = !suggestions.length;
  const buttons = suggestions.map((box) =>
    make("button", "", `${box.category} (${box.source})`, () => accept(box)),
  );
  element("suggestions").replaceChildren(...buttons);
}

export function showProgress({ frames, boxed, empty, boxes }) {
  const answered = boxed + empty;
  element("bar").max = frames;
  element("bar").value = answered;
  element("progress").textContent =
    `${answered} of ${frames} answered · ${plural(boxes, "box")}`;
}

export function fillVideos(frames) {
  const counts = new Map();
  for (const { video_id } of frames) counts.set(video_id, (counts.get(video_id) ?? 0) + 1);
  element("video").replaceChildren(
    ...[...counts].map(([name, count]) => new Option(`${name} (${plural(count, "frame")})`, name)),
  );
}

export function showEnd({ progress, file, command }) {
  const { frames, boxed, empty, boxes } = progress;
  const left = frames - boxed - empty;
  element("end-title").textContent = left
    ? `${plural(left, "frame")} of ${frames} without an answer`
    : `All ${plural(frames, "frame")} are answered`;
  element("end-counts").textContent =
    `${plural(boxes, "box")} on ${plural(boxed, "frame")}; ` +
    `nothing sounds in ${plural(empty, "frame")}.`;
  element("end-file").textContent = file;
  element("command").textContent = command;
}
