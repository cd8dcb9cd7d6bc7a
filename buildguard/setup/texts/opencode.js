// Put here by `buildguard agents install`; `buildguard agents uninstall` takes it away. (sum )
import { spawnSync } from "node:child_process"

const name = (session) => "opencode-" + session.replace(/[^0-9A-Za-z]/g, "").slice(-8)

export const Buildguard = async ({ directory }) => ({
  // Each session is an agent of its own.
  "shell.env": async (input, output) => {
    if (input.sessionID) output.env.BUILDGUARD_AGENT = name(input.sessionID)
  },
  "tool.execute.before": async (input, output) => {
    const command = output.args?.command
    if (input.tool !== "bash" || typeof command !== "string" || !/git|index\.lock/.test(command)) return
    const event = { session_id: input.sessionID, cwd: output.args.workdir || directory, tool_input: { command } }
    const asked = { input: JSON.stringify(event), encoding: "utf8", timeout: 10000 }
    const said = spawnSync("buildguard", ["agent-hook", "opencode", "tool"], asked).stdout
    let reason
    try {
      reason = JSON.parse(said).reason
    } catch {
      return // not installed, or nothing to say
    }
    if (reason) throw new Error(reason)
  },
})
