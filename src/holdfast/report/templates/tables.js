"use strict";

/* Tables sort by a click on a heading: numbers fall at the first click and rise at the second, names the other way
   round; empty cells stay last. */
for (const ledger of document.querySelectorAll("table.ledger")) {
  const headings = [...ledger.tHead.rows[ledger.tHead.rows.length - 1].cells];
  headings.forEach((heading, place) => {
    heading.querySelector("button").addEventListener("click", () => {
      const body = ledger.tBodies[0];
      const order = (row) => row.cells[place]?.dataset.order ?? "";
      const rows = [...body.rows];
      const numeric = rows.every((row) => order(row) === "" || !Number.isNaN(Number(order(row))));
      const rising = heading.getAttribute("aria-sort") === (numeric ? "descending" : "none");
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
      rows.sort((one, other) => {
        const [a, b] = [order(one), order(other)];
        if (a === "" || b === "") return (a === "") - (b === "");
        return (numeric ? a - b : a.localeCompare(b)) * (rising ? 1 : -1);
      });
      body.append(...rows);
    });
  });
}

const tip = document.getElementById("tip");
const showTip = (event) => {
  const cell = event.target.closest("[data-tip]");
  tip.hidden = !cell;
  if (!cell) return;
  tip.textContent = cell.dataset.tip;
  const box = cell.getBoundingClientRect();
  const left = Math.min(Math.max(box.left + box.width / 2 - tip.offsetWidth / 2, 8), innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 6;
  tip.style.left = left + scrollX + "px";
  tip.style.top = (above > 0 ? above : box.bottom + 6) + scrollY + "px";
};
for (const table of document.querySelectorAll("table")) {
  table.addEventListener("mouseover", showTip);
  table.addEventListener("mouseleave", () => { tip.hidden = true; });
}
