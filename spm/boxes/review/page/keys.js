// Which action a key means. Keys of input fields, and of buttons that have the focus, stay theirs.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function isTaken({ key, target }) {
  if (["SELECT", "INPUT", "SUMMARY"].includes(target.tagName)) return true;
  return target.tagName === "BUTTON" && ["Enter", " "].includes(key);
}

// `actions`: keys {key: action}, arrow([dx, dy], event), byNumber(1 … 9), undo, isEnd. On the last
// page only undo has an effect. `run` calls an action.
export function listenToKeys(actions, run) {
  document.addEventListener("keydown", (event) => {
    const { key } = event;
    const withControl = event.ctrlKey || event.metaKey || event.altKey;
    const isUndo = withControl ? key === "z" && !event.altKey : key === "u";
    if (isTaken(event) || (withControl && !isUndo) || (actions.isEnd() && !isUndo)) return;
    let action = isUndo ? actions.undo : actions.keys[key];
    if (key in ARROWS) action = () => actions.arrow(ARROWS[key], event);
    else if (/^[1-9]$/.test(key)) action = () => actions.byNumber(Number(key));
    if (!action) return;
    event.preventDefault();
    run(action);
  });
}
