(() => {
  "use strict";
  const table = document.getElementById("scores");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const filter = document.getElementById("filter");
  const best = document.getElementById("best");
  const count = document.getElementById("count");
  const first = heads.length - Number(table.dataset.models);
  const names = new Map(heads.slice(first).map((head, i) => [head.textContent.trim(), first + i]));

  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = Number.parseFloat(text.replaceAll(",", ""));
    return column < 2 ? text : number;
  };

  const sort = (column) => {
    const rises = heads[column].getAttribute("aria-sort") !== "ascending";
    for (const head of heads) head.setAttribute("aria-sort", "none");
    heads[column].setAttribute("aria-sort", rises ? "ascending" : "descending");
    const sign = rises ? 1 : -1;
    rows.sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      if (typeof x === "string") return sign * x.localeCompare(y, undefined, { numeric: true });
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return sign * (x - y);
    });
    body.append(...rows);
  };

  const show = () => {
    const wanted = filter.value.trim().toLowerCase();
    const column = names.get(best.value);
    let shown = 0;
    for (const row of rows) {
      const fits = row.cells[0].textContent.toLowerCase().includes(wanted)
        && (column === undefined || row.cells[column].classList.contains("best"));
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} series`;
  };

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
  filter.addEventListener("input", show);
  best.addEventListener("change", show);
  filter.form.addEventListener("submit", (event) => event.preventDefault());
  show();
})();
