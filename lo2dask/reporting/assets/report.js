"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Tables that sort.
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
    body.append(...[...body.rows].sort((a, b) => compare(text(a, column), text(b, column), down)));
  };
  for (const button of all("table.sortable th button")) button.addEventListener("click", () => sort(button.closest("th")));

  // Findings: search and filters.
  const items = all("details.finding"), selects = all(".filters select"), search = document.getElementById("search");
  const words = new Map();
  const wordsOf = (item) => {
    if (!words.has(item)) words.set(item, item.textContent.toLowerCase());
    return words.get(item);
  };
  const further = document.getElementById("further");
  const filter = () => {
    const wanted = selects.filter((select) => select.value).map((select) => [select.dataset.field, select.value]);
    const sought = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (further && (wanted.length || sought.length)) further.open = true;
    let shown = 0;
    for (const item of items) {
      item.hidden = !(wanted.every(([field, value]) => item.dataset[field] === value)
        && sought.every((word) => wordsOf(item).includes(word)));
      shown += item.hidden ? 0 : 1;
    }
    document.getElementById("shown").textContent = `${shown} of ${items.length} shown`;
    document.getElementById("nothing").hidden = shown > 0;
  };
  if (search) {
    search.form.addEventListener("submit", (event) => event.preventDefault());
    search.addEventListener("input", filter);
    for (const select of selects) select.addEventListener("change", filter);
    filter();
  }

  // A link opens what it leads to, also where a filter hides it.
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.hidden) {
      search.value = "";
      for (const select of selects) select.value = "";
      filter();
    }
    for (let box = target; box; box = box.parentElement) if (box.matches("details")) box.open = true;
    target.scrollIntoView();
    const summary = target.querySelector("summary");
    if (summary) summary.focus({ preventScroll: true });
  };
  addEventListener("hashchange", open);
  for (const link of all('a[href^="#"]')) {
    link.addEventListener("click", () => { if (link.getAttribute("href") === location.hash) open(); });
  }
  if (location.hash) open();

  // Pages that are opened as files may have no clipboard of their own.
  const copyByHand = (value) => {
    const area = document.createElement("textarea");
    area.value = value;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  const copy = async (button) => {
    const line = button.closest("li"), value = `${line.querySelector("code").textContent}: ${line.querySelector("pre").textContent}`;
    try { await navigator.clipboard.writeText(value); } catch { copyByHand(value); button.focus(); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  document.addEventListener("click", (event) => { if (event.target.matches("button.copy")) copy(event.target); });

  // On paper nothing can be opened.
  addEventListener("beforeprint", () => {
    for (const details of all("details:not([open])")) { details.open = true; details.dataset.closed = ""; }
  });
  addEventListener("afterprint", () => {
    for (const details of all("details[data-closed]")) { details.open = false; delete details.dataset.closed; }
  });
})();
