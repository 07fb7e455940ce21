using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using RedisFailover.Cli.Cluster;
using Spectre.Console;

namespace RedisFailover.Cli.Commands;

/// <summary>status: the problems first, then the topology, who leads, and what each monitor sees.</summary>
internal static class StatusCommand
{
    internal static Command Create()
    {
        CommonOptions common = new();
        Command command = common.AddTo(
                new Command("status",
                    "Show problems, the master, the replicas, the leading monitor and what each monitor sees; of several clusters below "
                        + "one root a line each"));
        command.SetAction(async (parsed, ct) =>
        {
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (await reader.ClustersAsync(ct) is { IsEmpty: false } clusters && !await reader.HasTopologyAsync(ct))
            {
                return await ClustersCommand.PrintAsync(reader, clusters, parsed.GetValue(common.Json), output, ct)
                    ? CommandLine.Done : CommandLine.Failed;
            }

            ClusterState state = await reader.ReadAsync(ct);
            if (parsed.GetValue(common.Json))
            {
                await output.WriteLineAsync(Json(state));
            }
            else
            {
                Print(state, TimeProvider.System.GetUtcNow(), output);
            }

            return state.Topology.Master is null ? CommandLine.Failed : CommandLine.Done;
        });
        return command;
    }

    internal static string Json(ClusterState state) => StatusJson.Of(state);

    internal static void Print(ClusterState state, DateTimeOffset now, TextWriter output)
    {
        ImmutableArray<Problem> problems = ClusterProblems.Of(state);
        PrintProblems(problems, now, output);
        PrintSummary(state, problems, output);
        PrintTable(state, now, output);
    }

    /// <summary>What is wrong, since when, and what to do; nothing where nothing is.</summary>
    internal static void PrintProblems(ImmutableArray<Problem> problems, DateTimeOffset now, TextWriter output)
    {
        foreach (Problem problem in problems)
        {
            string since = problem.Since is { } at ? $" (since {Texts.Utc(at)}, {Texts.Ago(now - at)})" : "";
            output.WriteLine(
                $"{(problem.Severity == ProblemSeverity.Critical ? "CRITICAL" : "warning "),-8} {problem.Code}: {problem.Message}{since}");
            if (problem.Advice.Length > 0)
            {
                output.WriteLine($"         -> {problem.Advice}");
            }
        }

        if (!problems.IsEmpty)
        {
            output.WriteLine();
        }
    }

    private static void PrintSummary(ClusterState state, ImmutableArray<Problem> problems, TextWriter output)
    {
        Topology topology = state.Topology;
        output.WriteLine($"master   {topology.Master?.ToString() ?? "none"}");
        output.WriteLine(
            string.Create(CultureInfo.InvariantCulture, $"state    {TopologyJson.Name(topology.State)}, epoch {topology.Epoch}"));
        // What a problem or the last change says already is not said again.
        string reason = IsSaid(topology.Reason, problems) ? "see above"
            : topology.LastChange is { Reason: { Length: > 0 } last } && topology.Reason.EndsWith(last, StringComparison.Ordinal)
                ? "see last" : topology.Reason;
        output.WriteLine(
            $"reason   {reason} ({Texts.Utc(topology.ChangedAt)}, by "
                + $"{(topology.ChangedBy.Length > 0 ? topology.ChangedBy : "an unknown writer")})");
        output.WriteLine(
            state.Leader is { } leader ? $"leader   {leader.Id} (host {leader.Host}, pid {leader.Pid}, since {leader.Since})"
            : state.IsLed ? "leader   not known: its znode is not readable"
            : "leader   none: no monitor leads at present");
        if (!state.Members.IsEmpty)
        {
            ImmutableArray<string> away = [.. state.Members.Where(m => !state.Monitors.ContainsKey(m))];
            output.WriteLine($"monitors {Texts.List(state.Members)} registered{(away.IsEmpty ? "" : $"; away: {Texts.List(away)}")}");
        }

        (bool _, string failover) = ClusterProblems.Failover(state);
        bool isSaid = state is { Failover: { Possible: false } not, IsLed: true } && IsSaid(not.Reason, problems);
        output.WriteLine($"failover {(isSaid ? "would NOT work now: see above" : failover)}");
        if (state.Config?.Pause is { } pause)
        {
            output.WriteLine($"paused   {pause}");
        }

        if (state.Config is { } config)
        {
            output.WriteLine(
                string.Create(CultureInfo.InvariantCulture,
                    $"config   version {state.ConfigVersion}, {Texts.Utc(config.ChangedAt)}, by {config.ChangedBy}: {config.Reason}"));
        }

        if (topology.WriteQuorum is { } safe)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"writes   WAIT {safe.Quorum} may be held by [{string.Join(' ', safe.Replicas)}], a failover needs {safe.Needed} of them; "
                    + $"min-replicas-to-write {safe.MinReplicas}"));
        }

        foreach ((NodeAddress node, string remark) in topology.Remarks.Where(r => !IsSaid(r.Value, problems)))
        {
            output.WriteLine($"note     {node}: {remark}");
        }

        if (state.LastChange is { } change)
        {
            output.WriteLine($"last     {Texts.Change(change)}");
        }

        if (state.Wish is { } wish)
        {
            output.WriteLine($"request  a failover to {Words.Quoted(wish)} was asked for and is not done yet");
        }
    }

    private static bool IsSaid(string text, ImmutableArray<Problem> problems)
        => text.Length > 0 && problems.Any(p => p.Message.Contains(text, StringComparison.Ordinal));

    private static void PrintTable(ClusterState state, DateTimeOffset now, TextWriter output)
    {
        output.WriteLine();
        Table table = new Table().Border(TableBorder.Simple).AddColumns("node", "role", "link", "lag", "since", "tags");
        foreach (string id in state.Monitors.Keys)
        {
            table.AddColumn(new TableColumn(new Text($"seen by {id}")).RightAligned());
        }

        foreach ((NodeAddress node, string role) in NodesCommand.Of(state.Topology))
        {
            NodeReport? report = state.LeadersView?.Nodes.GetValueOrDefault(node);
            string[] cells =
            [
                node.ToString(), role, NodeTexts.Link(report, state.Topology), NodeTexts.Lag(report, now), NodeTexts.Since(report, now),
                    NodeTexts.Tags(state, node),
                .. state.Monitors.Values.Select(monitor => Seen(monitor, node)),
            ];
            table.AddRow([.. cells.Select(cell => new Text(cell))]);
        }

        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output), Ansi = AnsiSupport.No });
        // A pipe has no width: nothing is to be broken into two lines there.
        console.Profile.Width = Math.Max(console.Profile.Width, 140 + (24 * state.Monitors.Count));
        console.Write(table);
    }

    private static string Seen(MonitorReport report, NodeAddress node)
        => report.Unavailable.Contains(node) ? "down"
            : report.Available.TryGetValue(node, out double seconds)
                ? string.Create(CultureInfo.InvariantCulture, $"{seconds * 1000:0.0} ms")
            : "-";
}
