using System.CommandLine;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>monitors list and forget: who is registered, who is here, and how one that is gone for good is taken off.</summary>
internal static class MonitorsCommand
{
    internal static Command Create() => new("monitors", "The monitors of the cluster") { List(), Forget() };

    private static Command List()
    {
        CommonOptions common = new();
        Command command =
            common.AddTo(new Command("list", "List the monitors: registered, here, leading, and how many nodes each reaches"));
        command.SetAction(async (parsed, ct) =>
        {
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            ClusterState state = await reader.ReadAsync(ct);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(common.Json))
            {
                await output.WriteLineAsync(Json(state));
                return CommandLine.Done;
            }

            foreach (string id in Ids(state))
            {
                string presence = !IsHere(state, id) ? "away" : state.Leader?.Id == id ? "here, leads" : "here";
                string registered = state.Members.Contains(id) ? "" : ", not registered";
                string sight = state.Monitors.GetValueOrDefault(id) is { } report
                    ? $", reaches {report.Available.Count} of {report.Available.Count + report.Unavailable.Count} nodes" : "";
                await output.WriteLineAsync($"{id,-24} {presence}{registered}{sight}");
            }

            return CommandLine.Done;
        });
        return command;
    }

    private static Command Forget()
    {
        CommonOptions common = new();
        Argument<string> id = new("id") { Description = "The monitor that will not come back" };
        Command command = common.AddTo(
                new Command("forget", "Take a monitor that is gone for good off the register: a majority is counted without it") { id });
        command.SetAction(async (parsed, ct) =>
        {
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            ClusterState state = await reader.ReadAsync(ct);
            string name = parsed.GetValue(id)!;
            if (IsHere(state, name))
            {
                throw new CliException($"monitor {name} is here: stop it first (SIGTERM takes it off by itself).", CommandLine.Refused);
            }

            if (!state.Members.Contains(name) || !await reader.ForgetAsync(name, ct))
            {
                throw new CliException(
                    $"no monitor is registered as '{Words.Quoted(name)}'; there "
                        + $"{(state.Members.IsEmpty ? "is none" : $"are {Texts.List(state.Members)}")}.", CommandLine.Refused);
            }

            await ChangeRequest.TellAsync(parsed.InvocationConfiguration.Output, parsed.GetValue(common.Json), RequestOutcome.Done,
                $"{name} is forgotten; registered are {Texts.List(state.Members.Remove(name))}", ChangeRequest.Operator);
            return CommandLine.Done;
        });
        return command;
    }

    private static IEnumerable<string> Ids(ClusterState state)
        => state.Members.Union(state.MonitorsJson.Keys).Order(StringComparer.Ordinal);

    private static bool IsHere(ClusterState state, string id) => state.MonitorsJson.ContainsKey(id);

    private static string Json(ClusterState state) => StatusJson.Text(writer =>
    {
        writer.WriteStartArray();
        foreach (string id in Ids(state))
        {
            MonitorReport? report = state.Monitors.GetValueOrDefault(id);
            writer.WriteStartObject();
            writer.WriteString("id", id);
            writer.WriteBoolean("registered", state.Members.Contains(id));
            writer.WriteBoolean("here", IsHere(state, id));
            writer.WriteBoolean("leads", state.Leader?.Id == id);
            writer.WriteNumber("reaches", report?.Available.Count ?? 0);
            writer.WriteNumber("doesNotReach", report?.Unavailable.Count ?? 0);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    });
}
