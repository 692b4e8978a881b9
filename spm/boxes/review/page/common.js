// Parts that the pages of `spm review` share.

export const MIN_SIDE = 0.01; // of a drawn box, as a fraction of the image

export const element = (id) => document.getElementById(id);

export async function request(url, options) {
  const response = await fetch(url, options).catch(() => {
    throw new Error("the server does not answer");
  });
  const body = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  if (!response.ok) throw Object.assign(new Error(body.error), { status: response.status, body });
  return body;
}

export function explain(error) {
  if (error.status === 403) return "this page is of a server that has ended; open the new address";
  return error.message;
}

export const clamp = (value, low = 0, high = 1) => Math.min(Math.max(value, low), high);

export function make(name, className, text, click) {
  const part = document.createElement(name);
  part.className = className;
  part.textContent = text;
  if (click) part.addEventListener("click", click);
  return part;
}

export const plural = (number, noun) =>
  `${number} ${noun}${number === 1 ? "" : noun.endsWith("x") ? "es" : "s"}`;

// Call the action of each button, by its id.
export function onClicks(buttons, run) {
  for (const [id, action] of Object.entries(buttons)) {
    element(id).addEventListener("click", (event) => {
      // The next key is for the page, not for a button that was clicked.
      if (event.detail) element("canvas").focus({ preventScroll: true });
      run(action);
    });
  }
}

export async function copyCommand() {
  await navigator.clipboard.writeText(element("command").textContent);
  element("copy").textContent = "copied";
}

// The place of a pointer on an element, as fractions of its width and height.
export function pointOn(target, event) {
  const area = target.getBoundingClientRect();
  return {
    x: clamp((event.clientX - area.left) / area.width),
    y: clamp((event.clientY - area.top) / area.height),
  };
}

export function boxBetween(a, b) {
  return {
    x: Math.min(a.x, b.x),
    y: Math.min(a.y, b.y),
    w: Math.abs(a.x - b.x),
    h: Math.abs(a.y - b.y),
  };
}

// Intersection over union of two boxes.
export function overlap(a, b) {
  const length = (from, size) =>
    Math.max(Math.min(a[from] + a[size], b[from] + b[size]) - Math.max(a[from], b[from]), 0);
  const common = length("x", "w") * length("y", "h");
  return common / (a.w * a.h + b.w * b.h - common);
}

// Images by number, of which the next ones are loaded in advance, so that they appear at once.
export class Images {
  constructor(most = 200) {
    this.most = most;
    this.loaded = new Map();
  }

  preload(numbers) {
    for (const number of numbers) {
      if (this.loaded.has(number)) continue;
      const image = new Image();
      image.src = `frame/${number}`;
      this.loaded.set(number, image);
    }
    const surplus = Math.max(0, this.loaded.size - this.most);
    for (const number of [...this.loaded.keys()].slice(0, surplus)) this.loaded.delete(number);
  }

  source(number) {
    this.preload([number]);
    return this.loaded.get(number).src;
  }

  // Wait until the image can be shown at once; an image with a fault is shown as such.
  async ready(number) {
    this.preload([number]);
    await this.loaded.get(number).decode().catch(() => {});
  }
}

// Show an image; until it is there, the image before is hidden.
export function showImage(source) {
  const image = element("frame");
  image.src = source;
  image.style.visibility = image.complete ? "visible" : "hidden";
  image.onload = () => (image.style.visibility = "visible");
}

let player = null;

// Play the sound of a clip; a sound that still plays stops.
export async function playSound(number) {
  player?.pause();
  player = new Audio(`sound/${number}`);
  await player.play();
  document.body.dataset.played = number;
}
