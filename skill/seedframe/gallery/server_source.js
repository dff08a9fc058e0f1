// Records and pictures from the server that this page came from.
const source = {
  async list() {
    const answer = await fetch("pictures", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  },
  preview: async (record, side) => `preview/${record.id}/${side}`,
  full: async (record) => `picture/${record.id}`,
  sidecar: async (record) => (await fetch(`sidecar/${record.id}`)).json(),
  start(arrived) {
    const load = () => this.list().then(arrived).catch(() => announce("failed"));
    one("[data-do=refresh]").addEventListener("click", load);
    load();
  },
};
