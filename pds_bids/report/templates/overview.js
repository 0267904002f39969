"use strict";
const visits = document.getElementById("visits");
const body = visits.tBodies[0];
const key = (row, column) => row.cells[column].textContent;
const pictured = visits.tHead.rows[0].cells[1].textContent; // with SYNTHETIC where it is
const STEP = 100; // rows at once: thousands of pictures would take a browser seconds
const order = new Intl.Collator(undefined, { numeric: true });

function compare(a, b) {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  if (isNaN(x) && isNaN(y)) return order.compare(a, b);
  return isNaN(x) ? 1 : isNaN(y) ? -1 : x - y;
}

for (const button of visits.tHead.querySelectorAll("button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const falls = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const rows = Array.from(body.rows, (row) => [key(row, head.cellIndex), row]);
    rows.sort(([a], [b]) => (falls ? compare(b, a) : compare(a, b)));
    body.append(...rows.map(([, row]) => row));
    restart();
  });
}

const search = document.getElementById("search");
const flagged = document.getElementById("flagged");
const shown = document.getElementById("shown");
const more = document.getElementById("more");
let limit = STEP;

function picture(row) {
  const cell = row.querySelector("[data-picture]:empty");
  if (!cell) return;
  const image = Object.assign(new Image(96, 96), { loading: "lazy", alt: pictured });
  image.src = cell.dataset.picture;
  cell.append(image);
}

function choose() {
  const words = search.value.toLowerCase().split(/\s+/);
  let count = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word)) && (!flagged.checked || row.querySelector(".out"));
    count += fits ? 1 : 0;
    row.hidden = !fits || count > limit;
    if (!row.hidden) picture(row);
  }
  shown.textContent = `${Math.min(count, limit)} of ${count}`;
  more.hidden = count <= limit;
}

function restart() {
  limit = STEP;
  choose();
}

search.addEventListener("input", restart);
flagged.addEventListener("change", restart);
more.addEventListener("click", () => {
  limit *= 2;
  choose();
});
choose();
