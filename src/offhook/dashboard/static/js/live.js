// Server-sent events of <html data-live="/live">. The browser reconnects by itself and says with Last-Event-ID what it saw last.
//
//   event: call        data: {"id": "<call id>", "html": "<li class=row id=call-...>"}   a call is new, or has changed
//   event: recording   data: {"id": "<call id>"}                                         its audio or waveform came
//   event: count       data: {"follow_ups": 4}                                           the number beside Follow-ups
//
// The HTML is rendered by the server from the same template as the list, so what callers said is escaped there.
import { $, $$, fetched, replace, toast } from "./dom.js";
import { tick } from "./time.js";

const HANDLERS = {
  call: ({ id, html }) => showCall(id, html),
  recording: ({ id }) => refreshCall(id),
  count: ({ follow_ups }) => $$("[data-count=follow-ups]").forEach((one) => showCount(one, follow_ups)),
};

export function startLive() {
  const url = document.documentElement.dataset.live;
  if (!url) return;
  const stream = new EventSource(url);
  stream.onopen = () => lamp("Live", true);
  stream.onerror = () => lamp("Reconnecting", false);
  for (const [name, handle] of Object.entries(HANDLERS))
    stream.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  addEventListener("pagehide", () => stream.close());
}

function lamp(words, isOn) {
  for (const one of $$("[data-lamp]")) {
    one.textContent = words;
    one.toggleAttribute("data-on", isOn);
  }
}

function showCall(id, html) {
  if (refreshCall(id)) return;
  const row = fragment(html);
  const known = document.getElementById(row.id);
  if (known) return known.replaceWith(row);
  const list = $("[data-live-list] ol");
  const isFirstPage = $("[data-live-list]") && !location.search;
  if (isFirstPage && list) {
    list.prepend(row);
    tick(row);
    row.classList.add("new");
  } else if (isFirstPage) location.reload(); // the first call of all
  else toast("A call has just ended", { label: "Show", run: () => location.assign(`/calls/${id}`) });
}

/** On the page of this very call: fetch it, and swap what may have come. */
function refreshCall(id) {
  if ($("[data-call]")?.dataset.call !== id) return false;
  fetched(location.pathname)
    .then((page) => {
      const isPlaying = $("call-player")?.audio && !$("call-player").audio.paused;
      for (const part of $$("[data-live-part]")) {
        const selector = `#${part.id}`;
        if (!(isPlaying && part.contains($("call-player"))) && !part.contains(document.activeElement)) replace(selector, page);
      }
    })
    .catch(() => {});
  return true;
}

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

function showCount(one, number) {
  $("[data-number]", one).textContent = number;
  one.hidden = !number;
}
