using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using RedisFailover.Cli.Cluster;
using Spectre.Console;

namespace RedisFailover.Cli.Commands;

/// <summary>status: the topology, who leads, and what each monitor sees.</summary>
internal static class StatusCommand
{
    private static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal static Command Create()
    {
        CommonOptions common = new();
        Command command = common.AddTo(new Command("status", "Show the master, the replicas, the leading monitor and what each monitor sees"));
        command.SetAction(async (parsed, ct) =>
        {
            await using ClusterReader reader = await ClusterReader.ConnectAsync(
                common.ConnectionOf(parsed), common.TimeoutOf(parsed), parsed.InvocationConfiguration.Error, ct);
            ClusterState state = await reader.ReadAsync(ct);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(common.Json))
            {
                await output.WriteLineAsync(Json(state));
            }
            else
            {
                Print(state, output);
            }

            return CommandLine.Done;
        });
        return command;
    }

    internal static string Json(ClusterState state)
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter writer = new(buffer, Indented))
        {
            writer.WriteStartObject();
            Raw("topology", state.TopologyJson);
            Raw("leader", state.LeaderJson);
            writer.WriteStartObject("monitors");
            foreach ((string id, ReadOnlyMemory<byte> json) in state.MonitorsJson)
            {
                Raw(id, json);
            }

            writer.WriteEndObject();
            writer.WriteString("manualFailover", state.Wish);
            if (state.Failover is { } failover)
            {
                writer.WriteStartObject("failover");
                writer.WriteBoolean("possible", failover.Possible);
                writer.WriteStartArray("candidates");
                foreach (NodeAddress candidate in failover.Candidates)
                {
                    writer.WriteStringValue(candidate.ToString());
                }

                writer.WriteEndArray();
                writer.WriteString("reason", failover.Reason);
                writer.WriteEndObject();
            }
            else
            {
                writer.WriteNull("failover");
            }

            writer.WriteEndObject();

            void Raw(string name, ReadOnlyMemory<byte>? json)
            {
                writer.WritePropertyName(name);
                if (json is not { } value)
                {
                    writer.WriteNullValue();
                    return;
                }

                try
                {
                    // Through a document, not raw: the znode's own indentation would be in the way of ours.
                    using JsonDocument document = JsonDocument.Parse(value);
                    document.RootElement.WriteTo(writer);
                }
                catch (JsonException)
                {
                    // Somebody mangled it: what it holds, as a text.
                    writer.WriteStringValue(Encoding.UTF8.GetString(value.Span));
                }
            }
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    internal static void Print(ClusterState state, TextWriter output)
    {
        Topology topology = state.Topology;
        output.WriteLine($"master   {topology.Master?.ToString() ?? "none"}");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"state    {TopologyJson.Name(topology.State)}, epoch {topology.Epoch}"));
        output.WriteLine($"reason   {topology.Reason} ({Texts.Utc(topology.ChangedAt)}, by {(topology.ChangedBy.Length > 0 ? topology.ChangedBy : "an unknown writer")})");
        output.WriteLine(
            state.Leader is { } leader ? $"leader   {leader.Id} (host {leader.Host}, pid {leader.Pid}, since {leader.Since})"
            : state.IsLed ? "leader   not known: its znode is not readable"
            : "leader   none: no monitor leads at present");
        output.WriteLine($"failover {Failover(state)}");
        if (topology.WriteQuorum is { } safe)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"writes   of WAIT {safe.Quorum} are on one of any {safe.Needed} of [{string.Join(' ', safe.Replicas)}]; the master takes none with fewer than {safe.MinReplicas} in step"));
        }

        // A change of master that waits says why in its reason.
        if (state.LeadersView?.Attention is { } attention && !topology.Reason.Contains(attention, StringComparison.Ordinal))
        {
            output.WriteLine($"needs    {attention}");
        }

        foreach ((NodeAddress node, string remark) in topology.Remarks)
        {
            output.WriteLine($"note     {node}: {remark}");
        }

        foreach (string unreadable in state.Unreadable)
        {
            output.WriteLine($"note     {unreadable}");
        }

        if (topology.LastChange is { } change)
        {
            output.WriteLine($"last     {LastChange(change)}");
        }

        if (state.Wish is { } wish)
        {
            output.WriteLine($"wish     a failover to {Words.Quoted(wish)} was asked for and is not done yet");
        }

        output.WriteLine();
        Table table = new Table().Border(TableBorder.Simple).AddColumns("node", "role");
        foreach (string id in state.Monitors.Keys)
        {
            table.AddColumn(new TableColumn(new Text($"seen by {id}")).RightAligned());
        }

        foreach ((NodeAddress node, string role) in Nodes(topology))
        {
            table.AddRow([new Text(node.ToString()), new Text(topology.NeverPromoted.Contains(node) ? $"{role}, never promoted" : role), .. state.Monitors.Values.Select(monitor => new Text(Seen(monitor, node)))]);
        }

        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output), Ansi = AnsiSupport.No });
        // A pipe has no width: nothing is to be broken into two lines there.
        console.Profile.Width = Math.Max(console.Profile.Width, 60 + (24 * state.Monitors.Count));
        console.Write(table);
    }

    /// <summary>Whether a failover would work now; or why there is no saying, each state in its own words.</summary>
    private static string Failover(ClusterState state)
        => state.Topology.State == TopologyState.FailingOver
                ? !state.IsLed ? "begun, and no monitor leads that could finish it: start the monitors" : "begun and not done yet, writes wait: see the reason"
            : !state.IsLed ? "would NOT work now: no monitor leads; start the monitors"
            : state.Topology.State == TopologyState.NoMaster ? "not possible, there is no master yet: see the reason"
            : state.Topology.State == TopologyState.SwitchingOver ? "not asked now: a switchover is under way"
            : state.Leader is null ? "not known: the leading monitor's znode is not readable"
            : state.Failover is { } failover ? $"{(failover.Possible ? "would work now" : "would NOT work now")}: {failover.Reason}"
            : $"not known yet: {state.Leader.Id} leads and has not told its view";

    /// <summary>The last change of master in one line.</summary>
    private static string LastChange(HistoryEntry change)
    {
        string loss = change.BytesBehind switch
        {
            null => "",
            0 => ", no loss seen",
            { } bytes => string.Create(CultureInfo.InvariantCulture, $", possible loss {bytes} bytes"),
        };
        return $"{Texts.Utc(change.At)} {change.Kind.ToString().ToLowerInvariant()} {change.From?.ToString() ?? "none"} -> {change.To?.ToString() ?? "none"}{loss}: {change.Reason}";
    }

    private static IEnumerable<(NodeAddress Node, string Role)> Nodes(Topology topology)
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

    private static string Seen(MonitorReport report, NodeAddress node)
        => report.Unavailable.Contains(node) ? "down"
            : report.Available.TryGetValue(node, out double seconds) ? string.Create(CultureInfo.InvariantCulture, $"{seconds * 1000:0.0} ms")
            : "-";
}
