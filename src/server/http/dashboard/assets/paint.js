// Puts a rendered line of a log into the page: spans of text with their colours. Nothing of a log is ever read as HTML.

export function paint(element, row) {
  for (const { text, class: names, color, background } of row.spans) {
    if (!names && !color && !background) {
      element.append(text);
      continue;
    }
    const span = document.createElement("span");
    span.textContent = text;
    if (names) span.className = names;
    if (color) span.style.setProperty("color", color);
    if (background) span.style.setProperty("background-color", background);
    element.append(span);
  }
  if (row.cut) element.append(` … ${row.cut} more characters`);
}
