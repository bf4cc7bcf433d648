// <form data-undo="Marked done" data-hides=".fu.cur">: what it would post waits five seconds, in which it can be taken back.
// When the page is left meanwhile, it is posted at once.
import { $, toast } from "./dom.js";

const PATIENCE_MS = 5000;

export function startUndo() {
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-undo]");
    if (!form || form.dataset.waits) return;
    event.preventDefault();
    form.dataset.waits = "1";
    hold(form, form.dataset.hides ? $(form.dataset.hides) : null);
  });
}

function hold(form, hidden) {
  if (hidden) hidden.hidden = true;
  const leaving = new AbortController();
  const timer = setTimeout(() => {
    leaving.abort();
    form.submit();
  }, PATIENCE_MS);
  const takeBack = () => {
    leaving.abort();
    clearTimeout(timer);
    delete form.dataset.waits;
    if (hidden) hidden.hidden = false;
  };
  const post = () => navigator.sendBeacon(form.action, new URLSearchParams(new FormData(form)));
  addEventListener("pagehide", post, { signal: leaving.signal });
  toast(form.dataset.undo, { label: "Undo", run: takeBack });
}
