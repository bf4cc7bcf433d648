// A GET form with data-filter="#results": the URL is the state, and only the results are fetched and swapped.
// So are links with data-swap="#results". Without this module, forms and links go to the same addresses.
import { $, $$, fetched, replace, toast } from "./dom.js";

const TYPING_MS = 180;
let underWay;

/** Show in place of `selector` what the page at `url` has there. */
export async function load(url, selector, { push = true } = {}) {
  underWay?.abort();
  underWay = new AbortController();
  const results = $(selector);
  results.ariaBusy = "true";
  try {
    const page = await fetched(url, { signal: underWay.signal });
    if (!replace(selector, page)) return location.assign(url);
    keepInStep(page);
    if (push) history.pushState({ selector }, "", url);
    else history.replaceState({ selector }, "", url);
  } catch (error) {
    if (error.name === "AbortError") return;
    results.ariaBusy = "false"; // the old rows stay
    toast("This could not be loaded. Check the connection, then try again.");
  }
}

/** What stands around the results and says what is chosen: marks on selects, counts, links. */
function keepInStep(page) {
  for (const form of $$("form[data-filter]")) {
    for (const select of $$("select", form)) select.toggleAttribute("data-set", Boolean(select.value));
    for (const part of $$("[data-step]", form)) {
      const theirs = page.querySelector(`[data-step="${part.dataset.step}"]`);
      if (theirs) part.replaceWith(document.adoptNode(theirs));
    }
  }
}

function address(form) {
  const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  return form.action.split("?")[0] + (chosen.size ? `?${chosen}` : "");
}

export function startFilters() {
  let typing;
  const filterOf = (target) => target.closest?.("form[data-filter]");
  document.addEventListener("submit", (event) => {
    const form = filterOf(event.target);
    if (!form) return;
    event.preventDefault();
    load(address(form), form.dataset.filter);
  });
  document.addEventListener("change", (event) => {
    const form = filterOf(event.target);
    if (form && event.target.matches("select, input[type=date]")) load(address(form), form.dataset.filter);
  });
  document.addEventListener("input", (event) => {
    const form = filterOf(event.target);
    if (!form || event.target.type !== "search") return;
    clearTimeout(typing);
    typing = setTimeout(() => load(address(form), form.dataset.filter, { push: false }), TYPING_MS);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    load(link.href, link.dataset.swap);
  });
  addEventListener("popstate", () => location.reload());
}
