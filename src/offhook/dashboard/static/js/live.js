// Server-sent events of <html data-live="/live?...">. After a reconnect the browser says with Last-Event-ID what it saw last.
//
//   event: call        data: {"id", "html": "<li class=row id=call-...>", "at", "status", "news"}   new, or changed
//   event: recording   data: {"id": "<call id>"}                                   its audio or waveform came
//   event: count       data: {"follow_ups": 4}                                     the number beside Follow-ups
//   event: pulse       data: {"html"}                                              whether calls are arriving
//   event: over        data: {}                            the session, its role or its organisation is another now
//
// The HTML is rendered by the server from the same templates as the page, so what callers said is escaped there.
import { $, $$, fetched, keepingPlace, replace, toast } from "./dom.js";
import { tick } from "./time.js";

const AGAIN_MS = 5000;
const SOON_MS = 300;
const LONG_ENDED = 900;
const HANDLERS = {
  call: showCall,
  recording: ({ id }) => refreshCall(id),
  count: ({ follow_ups }) => $$("[data-count=follow-ups]").forEach((one) => showCount(one, follow_ups)),
  pulse: ({ html }) => $$("[data-pulse]").forEach((one) => showPulse(one, html)),
  over: () => close("Reload to go on"),
};
const told = new Set();
let stream, seen, again;
let isOver = false;

export function startLive() {
  if (!document.documentElement.dataset.live) return;
  open();
  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", (event) => event.persisted && open());
  // A browser has six connections to a server: tabs that nobody sees must not hold them.
  document.addEventListener("visibilitychange", () => (document.hidden ? stream?.close() : open()));
}

function open() {
  clearTimeout(again);
  stream?.close();
  if (isOver || document.hidden) return;
  const url = new URL(document.documentElement.dataset.live, location.href);
  if (seen) url.searchParams.set("after", seen);
  stream = new EventSource(url);
  stream.onopen = () => lamp("Live", true);
  stream.onerror = () => {
    lamp("Reconnecting", false);
    if (stream.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS); // refused: it does not try again by itself
  };
  for (const [name, handle] of Object.entries(HANDLERS))
    stream.addEventListener(name, (event) => {
      seen = event.lastEventId || seen;
      handle(JSON.parse(event.data));
    });
}

function close(words) {
  isOver = true;
  stream.close();
  lamp(words, false);
}

function lamp(words, isOn) {
  for (const one of $$("[data-lamp]")) {
    one.textContent = words;
    one.toggleAttribute("data-on", isOn);
  }
}

function showCall({ id, html, at, status, news }) {
  if (refreshCall(id)) return;
  const row = fragment(html);
  const known = document.getElementById(row.id);
  if (known) {
    keepingPlace(() => known.replaceWith(row));
    tick(row);
  } else if ($("[data-live-list]") && !location.search) addRow(row, at);
  else if (news && status !== "in-progress" && !told.has(id)) {
    told.add(id);
    toast("A call has just ended", { label: "Show", run: () => location.assign(`/calls/${id}`) });
  }
}

/** On top of today's calls; what belongs elsewhere is put there by the server. */
function addRow(row, at) {
  const list = $("[data-live-list] [data-keys-list]");
  if (!list) return location.reload(); // the first call of all
  const newest = $("time", list);
  const isToday = list.previousElementSibling?.firstChild?.textContent.trim() === "Today";
  if (isToday && new Date(newest?.dateTime) <= at * 1000 && Date.now() / 1000 - at < LONG_ENDED) {
    list.prepend(row);
    const count = $("span", list.previousElementSibling);
    if (count) count.textContent = `${list.children.length} calls`;
    tick(row);
    row.classList.add("new");
  } else refreshList();
}

let isListDue = false;
function refreshList() {
  if (isListDue) return;
  isListDue = true;
  setTimeout(() => {
    isListDue = false;
    if (location.search) return;
    fetched(location.href)
      .then((page) => keepingPlace(() => replace("#results", page)))
      .catch(() => {});
  }, SOON_MS);
}

/** On the page of this very call: fetch it, and swap what may have come. */
let isCallDue = false;
function refreshCall(id) {
  if ($("[data-call]")?.dataset.call !== id) return false;
  if (isCallDue) return true;
  isCallDue = true;
  setTimeout(() => {
    isCallDue = false;
    fetched(`/calls/${id}`).then(swapParts).catch(() => {});
  }, SOON_MS);
  return true;
}

/** A player that somebody uses, and the lines that go with it, stay as they are until the page is loaded again; so does a
 * form that is open or was written in. */
function swapParts(page) {
  const player = $("call-player");
  const isInUse = player?.audio && (!player.audio.paused || player.at > 0);
  for (const part of $$("[data-live-part]")) {
    const isItsOwn = part.contains(player) || $("[data-transcript]", part);
    if (!(isInUse && isItsOwn) && !isBegun(part) && !part.contains(document.activeElement)) replace(`#${part.id}`, page);
  }
}

const isBegun = (part) => part.open || $$("textarea", part).some((one) => one.value !== one.defaultValue);

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

function showCount(one, number) {
  $("[data-number]", one).textContent = number;
  one.hidden = !number;
}

function showPulse(one, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  one.replaceChildren(template.content);
  tick(one);
}
