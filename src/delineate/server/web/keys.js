// Keys to commands. A key is written as in "ctrl+shift+z"; Ctrl stands for Command on a Mac as well.

const NAMES = {
  " ": "space", arrowleft: "left", arrowright: "right", arrowup: "up", arrowdown: "down", escape: "esc",
  delete: "del", pageup: "pageup", pagedown: "pagedown",
};
const SHOWN = {
  ctrl: "Ctrl", shift: "Shift", alt: "Alt", esc: "Esc", enter: "Enter", del: "Del", backspace: "Backspace",
  space: "Space", left: "←", right: "→", up: "↑", down: "↓", pageup: "Page Up", pagedown: "Page Down",
};
const TEXTS = new Set(["text", "search", "number", "password", "color"]);

/** The name of what was pressed, as commands write it. */
export function nameOf(event) {
  let key = event.key.toLowerCase();
  key = NAMES[key] ?? key;
  const digit = /^Digit([0-4])$/.exec(event.code); // those with commands; elsewhere Shift+7 may well be "/"
  if (digit && (event.shiftKey || event.altKey)) key = digit[1]; // Shift+1 is "!" on one keyboard, "1" on another
  else if (/^Key[A-Z]$/.test(event.code) && event.altKey) key = event.code.slice(3).toLowerCase();
  const sign = key.length === 1 && !/[a-z0-9]/.test(key); // "?" needs Shift on most keyboards, and not on others
  const parts = [];
  const third = event.getModifierState?.("AltGraph"); // makes signs on many keyboards, and looks like Ctrl+Alt
  if ((event.ctrlKey || event.metaKey) && !third) parts.push("ctrl");
  if (event.altKey && !third) parts.push("alt");
  if (event.shiftKey && !sign) parts.push("shift");
  return [...parts, key].join("+");
}

/** A key as people read it. */
export const shownKey = (key) =>
  key === "+" ? "+" : key.split("+").map((part) => SHOWN[part] ?? part.toUpperCase()).join("+") || "+";

/** Whether what has the focus takes the key itself: texts all keys, lists and sliders those that move them. */
function takes(element, event, name) {
  if (element.closest("dialog")) return true;
  const tag = element.tagName;
  const text = tag === "TEXTAREA" || (tag === "INPUT" && TEXTS.has(element.type));
  if (text) return !["ctrl+k", "ctrl+enter"].includes(name);
  const moves = /^(shift\+)?(left|right|up|down|space|enter|home|end)$/.test(name);
  const own = tag === "INPUT" || tag === "SELECT" || tag === "BUTTON" || element.getAttribute("role") === "listbox" || tag === "A";
  return own && (moves || (tag === "SELECT" && event.key.length === 1 && name === event.key));
}

/** Listen for the keys of commands: each {keys, run, when}. */
export function listen(commands) {
  const byKey = new Map();
  for (const command of commands)
    for (const key of command.keys) {
      if (byKey.has(key)) throw new Error(`the key ${key} has two commands`);
      byKey.set(key, command);
    }
  window.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const name = nameOf(event);
    const command = byKey.get(name);
    if (!command || takes(event.target, event, name)) return;
    if (command.when && !command.when()) return;
    event.preventDefault();
    command.run();
  });
}
