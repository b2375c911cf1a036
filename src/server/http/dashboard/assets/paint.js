// Lines of a log as the server has rendered them: characters with their look. Every letter of a log reaches the page as
// text.

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
