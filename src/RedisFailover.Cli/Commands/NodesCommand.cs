using System.CommandLine;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>nodes list: the nodes of the cluster, one line each.</summary>
internal static class NodesCommand
{
    internal static Command Create()
        => new("nodes", "List, add, remove, tag and adopt the Redis nodes of the cluster, without a restart and without a failover")
    {
        List(), NodeChangeCommands.Add(), NodeChangeCommands.Remove(), NodeChangeCommands.Tag(), NodeChangeCommands.Adopt(),
    };

    /// <summary>Every node of the topology with its role: the master, the replicas, those that are not used.</summary>
    internal static IEnumerable<(NodeAddress Node, string Role)> Of(Topology topology)
    {
        if (topology.Master is { } master)
        {
            yield return (master, "master");
        }

        foreach (NodeAddress replica in topology.Replicas)
        {
            yield return (replica, "replica");
        }

        foreach (NodeAddress node in topology.Unavailable)
        {
            yield return (node, "unavailable");
        }
    }

    private static Command List()
    {
        CommonOptions common = new();
        Command command = common.AddTo(
                new Command("list",
                    "List the nodes: role, whether it may be promoted, which monitors do not reach it, what keeps it from being used"));
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

            foreach ((NodeAddress node, string role) in Of(state.Topology))
            {
                string down = Texts.List(Unreached(state, node)) is { Length: > 0 } monitors ? $", not reached by {monitors}" : "";
                string tags = NodeTexts.Tags(state, node) is { Length: > 0 } given ? $", {given}" : "";
                string remark = state.Topology.Remarks.GetValueOrDefault(node) is { } text ? $": {text}" : "";
                await output.WriteLineAsync($"{node,-24} {role}{Standing(state, node)}{tags}{down}{remark}");
            }

            return CommandLine.Done;
        });
        return command;
    }

    private static string Standing(ClusterState state, NodeAddress node)
        => state.LeadersView?.Nodes.GetValueOrDefault(node) is { Link.Length: > 0 } report
            ? $", link {NodeTexts.Link(report, state.Topology)}, lag {NodeTexts.Lag(report, TimeProvider.System.GetUtcNow())}" : "";

    private static IEnumerable<string> Unreached(ClusterState state, NodeAddress node)
        => state.Monitors.Where(m => m.Value.Unavailable.Contains(node)).Select(m => m.Key);

    private static string Json(ClusterState state) => StatusJson.Text(writer =>
    {
        writer.WriteStartArray();
        foreach ((NodeAddress node, string role) in Of(state.Topology))
        {
            writer.WriteStartObject();
            writer.WriteString("node", node.ToString());
            writer.WriteString("role", role);
            writer.WriteBoolean("neverPromoted", state.Topology.NeverPromoted.Contains(node));
            writer.WriteBoolean("neverRead", state.Topology.NeverRead.Contains(node));
            writer.WriteString("zone", state.Topology.Zones.GetValueOrDefault(node));
            writer.WritePropertyName("priority");
            writer.WriteRawValue(state.Config?.Node(node)?.Priority?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "null");
            NodeReport? report = state.LeadersView?.Nodes.GetValueOrDefault(node);
            writer.WriteString("link", report is { Link.Length: > 0 } ? report.Link : null);
            Number(writer, "lagBytes", report?.LagBytes);
            Number(writer, "lagSeconds", report?.LagSeconds);
            writer.WriteString("since", report?.Since is { } since ? Texts.Utc(since) : null);
            writer.WriteStartArray("notReachedBy");
            foreach (string monitor in Unreached(state, node))
            {
                writer.WriteStringValue(monitor);
            }

            writer.WriteEndArray();
            writer.WriteString("note", state.Topology.Remarks.GetValueOrDefault(node));
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    });

    private static void Number(System.Text.Json.Utf8JsonWriter writer, string name, long? number)
    {
        if (number is { } value)
        {
            writer.WriteNumber(name, value);
        }
        else
        {
            writer.WriteNull(name);
        }
    }
}
