// Calls remote objects from JavaScript: node client.mjs [URL_OF_THE_GATEWAY [KEY]]. In a browser it is the same `fetch`.

const url = process.argv[2] ?? "http://localhost:8080/pyro/";
const key = process.argv[3];

/** Call a method with an object of named arguments, and return its result; remote errors are thrown. */
async function call(member, args = {}) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers["X-Pyro-Gateway-Key"] = key;
  const response = await fetch(url + member, { method: "POST", headers, body: JSON.stringify(args) });
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  if (response.status !== 500) throw new Error(text);
  const error = JSON.parse(text);
  throw new Error(`${error.__class__}: ${error.args.join(", ")}`);
}

console.log("a call:", await call("http.calculator/add", { a: 1.5, b: 2.25 }));
console.log("a call with a list:", JSON.stringify(await call("http.calculator/statistics", { values: [3, 1, 8] })));
// several at the same time
const sums = await Promise.all([1, 2, 3].map((number) => call("http.calculator/add", { a: number, b: number })));
console.log("side by side:", sums.join(" "));
for (const member of ["http.calculator/divide", "example.hidden/secret"]) {
  try {
    await call(member, { a: 1, b: 0 });
  } catch (error) {
    console.log("an error:", error.message);
  }
}
