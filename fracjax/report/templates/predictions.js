"use strict";
const find = id => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const list = find("list"), overlay = find("overlay"), search = find("search"), large = find("large");

const FILTERS = [
  ["all", () => true],
  ["called " + data.positive, one => one.decision === data.positive],
  ["not called", one => one.decision !== null && one.decision !== data.positive],
  ["not read", one => one.status === "unreadable"],
  ["unlike training", one => one.unlike],
  ["with a note", one => one.note !== ""],
];
let filter = 0, current = null;

const made = (name, text, kind) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
// Four digits, but never a number that lies on the other side of the threshold.
const digits = value => {
  let text = value.toFixed(4);
  const side = number => data.threshold !== null && number >= data.threshold;
  for (let n = 5; n < 18 && side(Number(text)) !== side(value); n++) text = value.toFixed(n);
  return text;
};
const source = one => {
  const kept = (overlay.checked && find("o" + one.row)) || find("i" + one.row);
  return kept ? "data:image/jpeg;base64," + kept.textContent : "";
};
const answer = one => one.decision === null ? one.status
  : `${one.decision}, probability ${digits(one.probability)}`;

function card(one) {
  const element = made("article");
  element.tabIndex = -1;
  if (one.decision === data.positive) element.className = "positive";
  if (one.status === "unreadable") element.className = "unreadable";
  if (find("i" + one.row)) {
    const image = made("img");
    image.alt = `${one.path}: ${answer(one)}`;
    image.addEventListener("click", () => enlarge(one));
    element.append(image);
    one.image = image;
  } else {
    element.append(made("div", one.status === "read" ? "no image kept" : "no image", "none"));
  }
  const name = one.path.split(/[\\/]/).pop();
  const title = made("h2", `${one.row}. ${name}`);
  title.title = one.path;
  element.append(title, made("p", answer(one), "answer"));
  if (one.type) element.append(made("p", `${one.type}, probability ${one.types[one.type].toFixed(3)}`));
  if (one.marks) {
    const scores = one.marks.map(score => score.toFixed(2)).join(", ");
    element.append(made("p", one.marks.length ? `marked, score ${scores}` : "no mark"));
  }
  if (one.reason) element.append(made("p", one.reason, "note"));
  if (one.note) element.append(made("p", one.note, one.unlike ? "unlike" : "note"));
  one.element = element;
  return element;
}

const near = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) {
    show(entry.target.one);
    near.unobserve(entry.target);
  }
}, { rootMargin: "600px" });
const show = one => { if (one.image) { one.image.src = source(one); one.seen = true; } };
const visible = () => ordered().filter(one => !one.element.hidden);
const ordered = () => [...list.children].map(element => element.one);

function apply() {
  const words = search.value.toLowerCase(), wanted = FILTERS[filter][1];
  let count = 0;
  for (const one of data.results) {
    const text = `${one.path} ${one.note} ${one.reason} ${one.type ?? ""}`.toLowerCase();
    one.element.hidden = !(wanted(one) && text.includes(words));
    count += !one.element.hidden;
  }
  for (const [i, button] of [...find("filters").children].entries()) {
    button.setAttribute("aria-pressed", i === filter);
  }
  find("shown").textContent = `${count} of ${data.results.length} shown`;
}

function order() {
  const rank = new Map(data.results.map((one, place) => [one, place]));
  const keys = {
    need: one => rank.get(one), file: one => one.row, probability: one => -(one.probability ?? -1),
  };
  const key = keys[find("order").value];
  list.replaceChildren(...[...data.results].sort((a, b) => key(a) - key(b)).map(one => one.element));
}

function move(step) {
  const those = visible();
  if (!those.length) return;
  const place = those.indexOf(current) + step;
  current = those[Math.max(0, Math.min(those.length - 1, place))];
  show(current);
  current.element.focus();
  current.element.scrollIntoView({ block: "nearest" });
  if (large.open) enlarge(current);
}

function enlarge(one) {
  if (!one.image) return;
  current = one;
  large.querySelector("img").src = source(one);
  large.querySelector("img").alt = one.image.alt;
  large.querySelector("p").textContent = one.image.alt;
  if (!large.open) large.showModal();
}

for (const [i, [name, wanted]] of FILTERS.entries()) {
  const button = made("button", `${name} ${data.results.filter(wanted).length}`);
  button.type = "button";
  button.addEventListener("click", () => { filter = i; apply(); });
  find("filters").append(button);
}
for (const one of data.results) {
  const element = card(one);
  element.one = one;
  list.append(element);
  near.observe(element);
}
apply();
find("order").addEventListener("change", order);
search.addEventListener("input", apply);
overlay.addEventListener("change", () => {
  for (const one of data.results) if (one.seen) show(one);
  if (large.open) enlarge(current);
});
find("controls").addEventListener("submit", event => event.preventDefault());
large.addEventListener("click", () => large.close());
list.addEventListener("focusin", event => { current = event.target.closest("article")?.one ?? current; });
// What is printed is every image that is shown, also those that were never on the screen.
window.addEventListener("beforeprint", () => visible().forEach(show));
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input[type=search], select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const keys = {
    j: () => move(1), ArrowRight: () => move(1), k: () => move(-1), ArrowLeft: () => move(-1),
    o: () => overlay.click(),
    f: () => { filter = (filter + 1) % FILTERS.length; apply(); },
    "/": () => search.focus(),
    Enter: () => { if (current && event.target.matches("article, body")) enlarge(current); },
  };
  if (!keys[event.key]) return;
  if (event.key !== "Enter") event.preventDefault();
  keys[event.key]();
});
