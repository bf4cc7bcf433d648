// Every key, in one table: it draws the sheet behind "?" and it is what happens. Pages add theirs with data-key="e" on a
// button or link, and a row here. Single keys do nothing while somebody types or a dialog is open, and can be switched off.
import { $, $$, make } from "./dom.js";
import { openPalette } from "./palette.js";

const player = () => $("call-player");
const press = (key) => $$("[data-key]").find((one) => one.dataset.key === key)?.click();

const go = (path) => () => location.assign(path);

/** [where, [[keys as shown, what they do, {key: what happens}]]]; what happens returns true when it took the key. */
const TABLE = [
  [
    "Everywhere",
    [
      ["⌘K / Ctrl K", "Search or jump", {}], // with a modifier: below
      ["/", "Search this page", { "/": searchHere }],
      ["?", "This sheet", { "?": () => $("#keys").showModal() }],
      ["g c", "Calls", { "g c": go("/calls") }],
      ["g f", "Follow-ups", { "g f": go("/follow-ups") }],
      ["g p", "Contacts", { "g p": go("/contacts") }],
      ["g e", "Events", { "g e": go("/events") }],
      ["g h", "Health", { "g h": go("/health") }],
      ["g s", "Settings", { "g s": go("/settings") }],
    ],
  ],
  [
    "Call",
    [
      ["space", "Play, pause", { " ": (event) => !event.target.closest("button, summary, a") && player()?.toggle() }],
      ["← / →", "5 seconds", { ArrowLeft: () => player()?.skip(-5), ArrowRight: () => player()?.skip(5) }],
      ["j / k", "Next, previous line", { j: () => player()?.step(1), k: () => player()?.step(-1) }],
      ["< / >", "Slower, faster", { "<": () => player()?.faster(-1), ">": () => player()?.faster(1) }],
      ["[ / ]", "Newer, older call", { "[": () => press("["), "]": () => press("]") }],
    ],
  ],
  [
    "Lists",
    [
      ["j / k", "Next, previous", { j: () => move(1), k: () => move(-1) }],
      ["↵", "Open", { Enter: (event) => event.target === document.body && $("[data-cur] a")?.click() }],
    ],
  ],
  [
    "Follow-up",
    [
      ["e", "Done", { e: () => press("e") }],
      ["s", "Snooze", { s: () => press("s") }],
    ],
  ],
  ["Event", [["r", "Replay", { r: () => press("r") }]]],
];

const OFF = "offhook-single-keys-off";
const CHORD_MS = 900;
let chordSince = 0;

export function startKeys() {
  if (!$("#keys")) return;
  drawSheet();
  addEventListener("keydown", (event) => {
    if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (!$("dialog[open]")) openPalette();
    } else if (event.key === "Escape" && isTyping(event.target) && !event.target.closest("dialog")) {
      event.target.blur();
    } else if (isForUs(event) && act(event)) {
      event.preventDefault();
    }
  });
}

const isTyping = (target) => target.matches?.("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]");

function isForUs(event) {
  const isOff = localStorage.getItem(OFF) === "1" && event.key !== "Enter";
  return !isOff && !isTyping(event.target) && !event.metaKey && !event.ctrlKey && !event.altKey && !$("dialog[open]");
}

/** Do the first thing of the table that this key means here; whether there was one that took it. */
function act(event) {
  const isChord = chordSince && Date.now() - chordSince < CHORD_MS;
  const key = isChord ? `g ${event.key}` : event.key;
  chordSince = !isChord && event.key === "g" ? Date.now() : 0;
  return TABLE.some(([, rows]) => rows.some(([, , deeds]) => deeds[key]?.(event)));
}

function searchHere() {
  const field = $$("[data-search]").find((one) => one.offsetParent);
  if (!field) return false;
  field.focus();
  field.select();
  return true;
}

/** Along the rows of the list ([data-keys-list]), or of several, one below the other. */
function move(by) {
  const rows = $$("[data-keys-list] > *").filter((row) => !row.hidden && $("a", row));
  if (!rows.length) return false;
  const at = rows.findIndex((row) => row.hasAttribute("data-cur") || row.contains(document.activeElement));
  const row = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  rows[at]?.removeAttribute("data-cur");
  row.setAttribute("data-cur", "");
  $("a", row).focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  return true;
}

function drawSheet() {
  $("#keys .keys").replaceChildren(
    ...TABLE.map(([where, rows]) =>
      make(
        "section",
        {},
        make("h3", { textContent: where }),
        make("ul", {}, ...rows.map(([keys, deed]) => make("li", {}, make("span", { textContent: deed }), make("kbd", { textContent: keys })))),
      ),
    ),
  );
  const choice = $("#single-keys");
  choice.checked = localStorage.getItem(OFF) !== "1";
  choice.onchange = () => localStorage.setItem(OFF, choice.checked ? "0" : "1");
}
