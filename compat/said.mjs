// What the programs print: a line of JSON for each thing they did (see said.py).
export const say = (name, seen) => console.log(JSON.stringify({ case: name, ...seen }));

export async function refusals(refused) {
  const told = process.argv.slice(2);
  for (let at = 0; at < told.length; at += 3) {
    const since = performance.now();
    let seen = { error: null };
    try {
      await refused(told[at + 1], told[at + 2]);
    } catch (error) {
      seen = { error: error.constructor.name, status: error.status, has_id: Boolean(error.requestID) };
    }
    say(told[at], { seconds: Math.round((performance.now() - since) / 1000), ...seen });
  }
  if (told.length > 0) process.exit();
}
