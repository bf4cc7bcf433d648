// A payload as a tree of <details>: find opens what is folded and marks it; one button opens and closes all.
import { $$, $ } from "./dom.js";

export function startPayload() {
  $("[data-json-find]")?.addEventListener("input", (event) => find(event.target.value.trim().toLowerCase()));
}

export function openAll(button) {
  const branches = $$("[data-json] details");
  const isOpening = branches.some((branch) => !branch.open);
  for (const branch of branches) branch.open = isOpening;
  button.textContent = isOpening ? "Collapse" : "Expand all";
}

function find(words) {
  let first;
  for (const leaf of $$("[data-json] .leaf")) {
    for (const part of $$(".s, .n, .k", leaf)) part.replaceChildren(part.textContent);
    if (!words || !leaf.textContent.toLowerCase().includes(words)) continue;
    first ??= leaf;
    for (let above = leaf.parentElement; above; above = above.parentElement) if (above.tagName === "DETAILS") above.open = true;
    for (const part of $$(".s, .n, .k", leaf)) mark(part, words);
  }
  first?.scrollIntoView({ block: "nearest" });
}

function mark(part, words) {
  const text = part.textContent;
  const at = text.toLowerCase().indexOf(words);
  if (at < 0) return;
  const found = document.createElement("mark");
  found.textContent = text.slice(at, at + words.length);
  part.replaceChildren(text.slice(0, at), found, text.slice(at + words.length));
}
