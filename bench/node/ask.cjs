// Asks a server as Google's Node client does, and prints what it read.
// Usage: node ask.cjs http://127.0.0.1:1234/ HASH-PREFIX-IN-BASE64
const { safebrowsing } = require("@googleapis/safebrowsing");

const [rootUrl, prefix] = process.argv.slice(2);
const five = safebrowsing({ version: "v5", rootUrl, auth: "x" });
const four = safebrowsing({ version: "v4", rootUrl, auth: "x" });
const kind = { threatType: "SOCIAL_ENGINEERING", platformType: "ANY_PLATFORM", threatEntryType: "URL" };

async function ask() {
  const answers = {
    hashes: await five.hashes.search({ hashPrefixes: [prefix] }),
    lists: await five.hashLists.batchGet({ names: ["se-4b", "gc-32b"] }),
    list: await five.hashList.get({ name: "se-4b" }),
    matches: await four.threatMatches.find({
      requestBody: {
        threatInfo: {
          threatTypes: [kind.threatType],
          platformTypes: [kind.platformType],
          threatEntryTypes: [kind.threatEntryType],
          threatEntries: [{ url: "http://phishing.headlight.example/x" }, { url: "http://good.example/" }],
        },
      },
    }),
    fullHashes: await four.fullHashes.find({
      requestBody: {
        threatInfo: {
          threatTypes: [kind.threatType],
          platformTypes: [kind.platformType],
          threatEntryTypes: [kind.threatEntryType],
          threatEntries: [{ hash: prefix }],
        },
      },
    }),
    updates: await four.threatListUpdates.fetch({
      requestBody: { listUpdateRequests: [{ ...kind, constraints: { supportedCompressions: ["RAW"] } }] },
    }),
  };
  for (const name in answers) answers[name] = answers[name].data;
  console.log(JSON.stringify(answers));
}

ask().catch((err) => {
  console.error(err.message);
  process.exit(1);
});
