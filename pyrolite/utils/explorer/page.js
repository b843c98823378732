"use strict";
// Everything that comes from servers is put in as text, never as HTML.
(() => {
  const key = document.querySelector('input[name="$key"][type="hidden"]')?.value;
  const [object, result] = ["object", "result"].map((id) => document.getElementById(id));
  if (!object) return;

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const address = (name, member) => `/pyro/${encodeURIComponent(name)}/${encodeURIComponent(member)}`;

  async function request(url, parameters) {
    // headers consist of bytes, which are those of UTF-8
    const headers = key ? {"X-Pyro-Gateway-Key": String.fromCharCode(...new TextEncoder().encode(key))} : {};
    const options = {headers};
    if (parameters) {
      headers["Content-Type"] = "application/json";
      Object.assign(options, {method: "POST", body: JSON.stringify(parameters)});
    }
    const begin = performance.now();
    const response = await fetch(url, options);
    return {response, text: await response.text(), time: performance.now() - begin};
  }

  function parsed(text) {
    try { return JSON.parse(text); } catch { return undefined; }
  }

  // ---- answers

  async function call(url, parameters, place) {
    const shown = `${parameters ? "POST" : "GET"} ${url}${parameters ? " " + JSON.stringify(parameters) : ""}`;
    const heading = element("h2", {textContent: "Answer"});
    const status = element("span", {textContent: "waiting…"});
    result.hidden = false;
    place.append(result);
    result.replaceChildren(heading, element("code", {textContent: shown}), element("p", {}, status));
    result.scrollIntoView({block: "nearest"});
    let answer;
    try {
      answer = await request(url, parameters);
    } catch (error) {
      status.textContent = `The gateway does not answer: ${error.message}`;
      status.className = "failed";
      return;
    }
    const {response, text, time} = answer;
    const id = response.headers.get("X-Pyro-Correlation-Id");
    status.textContent = `${response.status} ${response.statusText}`;
    status.className = response.ok ? "ok" : "failed";
    status.after(` in ${time.toFixed(1)} ms${id ? ", correlation id " + id : ""}`);
    result.append(...body(text, response));
    result.scrollIntoView({block: "nearest"});
  }

  function body(text, response) {
    if (text === "") return [element("p", {textContent: "No result: nobody waits for the end of this call."})];
    const value = parsed(text);
    if (value === undefined) return [element("pre", {textContent: text})];
    if (!response.ok && value && value.__exception__) {
      const what = `${value.__class__}: ${(value.args || []).map((part) =>
        typeof part === "string" ? part : JSON.stringify(part)).join(", ")}`;
      const trace = value.attributes && value.attributes._pyroTraceback;
      const shown = [element("p", {className: "failed", textContent: what})];
      if (Array.isArray(trace) && trace.length) {
        shown.push(element("p", {className: "hint", textContent: "Traceback of the remote object:"}));
        shown.push(element("pre", {className: "traceback", textContent: trace.join("")}));
      }
      return shown;
    }
    return [element("pre", {textContent: JSON.stringify(value, null, 2)})];
  }

  // ---- members

  const understood = (text) => {
    const value = parsed(text);
    return value === undefined ? text : value;
  };

  function methodForm(name, method) {
    const form = element("form");
    const fields = [];
    for (const [parameter, kind, fallback] of method.parameters || []) {
      if (kind === "VAR_POSITIONAL" || kind === "VAR_KEYWORD" || kind === "POSITIONAL_ONLY") continue;
      const input = element("input", {name: parameter, placeholder: fallback === null ? "" : fallback, autocomplete: "off"});
      fields.push(input);
      form.append(element("label", {}, parameter, input));
    }
    const open = method.signature === null || (method.parameters || []).some(([, kind]) => kind === "VAR_KEYWORD");
    const more = element("textarea", {rows: 2, name: "more arguments", placeholder: "argument = value"});
    if (open) form.append(element("label", {}, "arguments, one a line", more));
    form.append(element("button", {textContent: "Call"}));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const parameters = {};
      for (const input of fields) if (input.value !== "") parameters[input.name] = understood(input.value);
      for (const line of more.value.split("\n")) {
        const at = line.indexOf("=");
        if (at > 0) parameters[line.slice(0, at).trim()] = understood(line.slice(at + 1).trim());
      }
      call(address(name, method.name), parameters, form.parentElement);
    });
    return form;
  }

  function attributeForm(name, attribute) {
    const button = element("button", {textContent: "Get"});
    button.addEventListener("click", () => call(address(name, attribute.name), undefined, button.parentElement));
    return button;
  }

  function member(name, described, form) {
    const title = element("h3", {textContent: described.name + (described.signature || "")});
    if (described.oneway) title.append(" ", element("span", {className: "tag", textContent: "oneway"}));
    const box = element("div", {className: "member"}, title);
    box.dataset.member = described.name;
    if (described.doc) box.append(element("p", {textContent: described.doc}));
    box.append(form(name, described));
    return box;
  }

  async function open(name) {
    for (const row of document.querySelectorAll("tr[data-object]")) {
      row.classList.toggle("chosen", row.dataset.object === name);
    }
    object.hidden = false;
    result.remove();
    object.replaceChildren(element("h2", {textContent: name}));
    const {response, text} = await request(address(name, "$describe"));
    const value = parsed(text);
    if (!response.ok || !value) {
      object.append(...(value ? body(text, response) : [element("p", {className: "failed", textContent: text})]));
      return;
    }
    object.append(element("p", {className: "hint", textContent:
      'Values such as 42, true, [1, 2] or "text" are JSON, everything else is text. Empty fields are not sent.'}));
    object.append(...value.methods.map((described) => member(name, described, methodForm)));
    object.append(...value.attributes.map((described) => member(name, described, attributeForm)));
    object.scrollIntoView({block: "start"});
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const row = link.closest("tr[data-object]");
    if (row) open(row.dataset.object);
    else call(link.getAttribute("href"), undefined, link.closest("section"));
  });
})();
