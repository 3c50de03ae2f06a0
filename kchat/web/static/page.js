const log = document.getElementById("log");
const text = document.getElementById("text");

function show(message) {
  const row = document.createElement("p");
  row.textContent = `${message.name}${message.mark} ${message.shown ?? message.text}`;
  log.append(row);
}

async function enter() {
  const secret = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  if (secret) {
    await fetch("api/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ secret }),
    });
  }
  const events = new EventSource("api/events");
  events.addEventListener("message", (event) => show(JSON.parse(event.data)));
}

document.getElementById("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const session = await (await fetch("api/session")).json();
  await fetch(`api/rooms/${encodeURIComponent(session.rooms[0].name)}/messages`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text: text.value }),
  });
  text.value = "";
});

enter();
