// The few words that every module uses.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element with properties and children; text stays text. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** A sentence at the foot of the page; `action` is {label, run} and keeps it for five seconds. */
export function toast(message, action) {
  const note = make("div", { className: "toast" }, message);
  if (action) {
    const button = make("button", { type: "button", textContent: action.label });
    button.onclick = () => {
      note.remove();
      action.run();
    };
    note.append(button);
  }
  $("#toasts").append(note);
  setTimeout(() => note.remove(), action ? 5000 : 2400);
}

/** 83 is "1:23", 3723 is "1:02:03". */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** The HTML of a same-origin page as a document of its own, in which nothing runs; throws when there is none. */
export async function fetched(url, options) {
  const answer = await fetch(url, { headers: { "X-Requested-With": "offhook" }, ...options });
  if (answer.redirected && new URL(answer.url).pathname !== new URL(url, location.href).pathname) {
    location.href = answer.url; // the session is over: sign-in comes back here
    throw new DOMException("signed out", "AbortError");
  }
  if (!answer.ok) throw new Error(`${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Put the same part of another document in place of ours, and tell those who care. */
export function replace(selector, page) {
  const [ours, theirs] = [$(selector), page.querySelector(selector)];
  if (!ours || !theirs) return false;
  ours.replaceWith(document.adoptNode(theirs));
  document.dispatchEvent(new Event("swap"));
  return true;
}

/** Do `swap`, which may put a new row in the place of the one that the keys have chosen: it stays chosen. */
export function keepingPlace(swap) {
  const chosen = $("[data-cur]");
  const hasFocus = chosen?.contains(document.activeElement);
  swap();
  const row = chosen?.id && document.getElementById(chosen.id);
  if (!row || row === chosen) return;
  row.setAttribute("data-cur", "");
  if (hasFocus) $("a", row)?.focus({ preventScroll: true });
}
