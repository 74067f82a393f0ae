"use strict";
(() => {
  const text = (row, column) => (row.cells[column] ? row.cells[column].dataset.sort ?? row.cells[column].textContent.trim() : "");

  // Numbers sort as numbers; what is no number comes last whichever way the table is sorted.
  const compare = (a, b, down) => {
    const x = a === "" ? NaN : Number(a), y = b === "" ? NaN : Number(b);
    if (!Number.isNaN(x) && !Number.isNaN(y)) return down ? y - x : x - y;
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return down ? b.localeCompare(a) : a.localeCompare(b);
  };

  const sort = (header) => {
    const table = header.closest("table"), body = table.tBodies[0], column = header.cellIndex;
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].sort((a, b) => compare(text(a, column), text(b, column), down));
    body.append(...rows);
  };

  for (const button of document.querySelectorAll("table.sortable th button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }

  const selects = [...document.querySelectorAll(".filters select")];
  const filter = () => {
    const wanted = Object.fromEntries(selects.map((select) => [select.dataset.field, select.value]));
    const hides = (element) => ["model", "service", "case"].some(
      (field) => wanted[field] && element.dataset[field] !== undefined && element.dataset[field] !== wanted[field]);
    let shown = 0;
    for (const item of document.querySelectorAll("[data-filtered]")) {
      item.hidden = hides(item);
      if (item.matches("details.flagged") && !item.hidden) shown += 1;
    }
    const status = document.getElementById("shown");
    if (status) status.textContent = `${shown} shown`;
  };
  for (const select of selects) select.addEventListener("change", filter);
  if (selects.length) filter();

  // On paper nothing can be opened.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      details.dataset.closed = "";
    }
  });
  addEventListener("afterprint", () => {
    for (const details of document.querySelectorAll("details[data-closed]")) {
      details.open = false;
      delete details.dataset.closed;
    }
  });
})();
