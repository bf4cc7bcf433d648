// What every page runs. One listener for all buttons that only the browser answers, so HTML that arrives later just works.
import "./player.js";
import { $, $$, toast } from "./dom.js";
import { startFilters } from "./filters.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { openPalette, startPalette } from "./palette.js";
import { openAll, startPayload } from "./payload.js";
import { switchTheme } from "./theme.js";
import "./time.js";
import { startUndo } from "./undo.js";

/** By the attribute data-<name> of whatever was clicked. */
const DEEDS = {
  open: (one) => (one.dataset.open === "palette" ? openPalette() : $(`#${one.dataset.open}`).showModal()),
  themeSwitch: switchTheme,
  print: () => print(),
  copy: (one) => copy(one.dataset.copy),
  copyText: (one) => copy($(one.dataset.copyText).innerText),
  copyTranscript: () => copy(transcript()),
  copyHere: () => copy(location.origin + location.pathname + ($("call-player")?.hash ?? "")),
  insert: (one) => insert(one.dataset.insert),
  jsonAll: openAll,
};

document.addEventListener("click", (event) => {
  for (const [name, deed] of Object.entries(DEEDS)) {
    const attribute = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const one = event.target.closest(`[data-${attribute}]`);
    if (one) return deed(one);
  }
  if (event.target.tagName === "DIALOG") event.target.close(); // beside it
  for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of $$("details.menu[open]")) menu.open = false;
});

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("The browser did not allow copying");
  }
}

function transcript() {
  const line = (one) => `${$(".ts", one).textContent.trim()}  ${$(".sp", one).textContent.trim()}: ${$("p", one).textContent}`;
  return $$("[data-transcript] > .turn:not(.tool)").map(line).join("\n");
}

/** A ready-made sentence into the text that is being written. */
function insert(words) {
  const field = $("[data-text]");
  field.value = `${field.value} ${words}`.trim();
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
}

/** <textarea data-text maxlength> counts into [data-letters]. */
document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-text]")) return;
  const letters = $("[data-letters]");
  if (letters) letters.textContent = `${event.target.value.length} / ${event.target.maxLength > 0 ? event.target.maxLength : 160}`;
});

startPalette();
startKeys();
startFilters();
startUndo();
startPayload();
startLive();
