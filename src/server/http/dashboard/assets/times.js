// Times: rewrites timestamps in the reader's zone, and counts durations on. The server writes its own zone, with UTC in
// `datetime`.

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const SECONDS = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const MINUTES = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit" });

function written(at, short) {
  if (!short) return `${DATE.format(at)} ${SECONDS.format(at)}`;
  const today = DATE.format(at) === DATE.format(new Date());
  return today ? SECONDS.format(at) : `${DAY.format(at)} ${MINUTES.format(at)}`;
}

// Rewrites the timestamps in a part of a page.
export function localise(part) {
  for (const time of part.querySelectorAll("time[datetime]")) {
    const text = written(new Date(time.dateTime), "short" in time.dataset);
    if (time.textContent !== text) time.textContent = text;
  }
}

// Duration in the words of the server, but without tenths of seconds: it is rewritten once a second.
function duration(millis) {
  const seconds = Math.floor(Math.max(0, millis) / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

// Rewrites what is due and how long runs have taken in a part of a page, by the reader's clock.
export function advance(part) {
  for (const coming of part.querySelectorAll("[data-due]")) {
    const left = new Date(coming.dataset.due) - Date.now();
    coming.textContent = left > 0 ? `due in ${duration(left)}` : `overdue by ${duration(-left)}`;
    coming.classList.toggle("overdue", left <= 0);
  }
  for (const going of part.querySelectorAll("[data-since]")) {
    const soFar = Math.max(0, Date.now() - new Date(going.dataset.since));
    const bar = going.querySelector("progress");
    going.querySelector(".far").textContent = duration(soFar);
    if (!bar) continue;
    bar.value = Math.min(soFar, bar.max);
    going.classList.toggle("late", soFar > bar.max);
  }
}
