// <time data-rel>: what the server wrote goes on ticking, in the same words; beyond a week its date stands.
import { $$ } from "./dom.js";

const UNITS = [
  [86400, "d"],
  [3600, "h"],
];

export function ago(seconds) {
  const distance = Math.abs(seconds);
  if (distance < 45) return "just now";
  if (distance >= 604800) return null;
  const [unit, name] = UNITS.find(([length]) => distance >= length * 0.99) ?? [60, "m"];
  const count = Math.max(1, Math.round(distance / unit));
  return seconds < 0 ? `${count}${name} ago` : `in ${count}${name}`;
}

export function tick(root = document) {
  for (const time of $$("time[data-rel]", root)) {
    const words = ago((new Date(time.dateTime) - Date.now()) / 1000);
    if (words && words !== time.textContent) time.textContent = words;
  }
}

setInterval(tick, 20000);
document.addEventListener("swap", () => tick());
document.addEventListener("visibilitychange", () => document.hidden || tick());
