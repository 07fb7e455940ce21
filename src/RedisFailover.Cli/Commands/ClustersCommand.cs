using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Commands;

/// <summary>clusters list, add and remove: those below one root, which monitors with <c>--clusters all</c> watch.</summary>
internal static class ClustersCommand
{
    internal static Command Create() => new("clusters", "Several clusters below one root") { List(), Add(), Remove() };

    /// <summary>One line for each cluster, or its whole state as JSON; whether each has a master.</summary>
    internal static async Task<bool> PrintAsync(
        ClusterReader root, ImmutableArray<string> names, bool json, TextWriter output, CancellationToken ct)
    {
        List<(string Name, ClusterState? State, string? Note)> clusters = [];
        bool isWhole = true;
        foreach (string name in names)
        {
            ClusterReader cluster = root.Below(name);
            try
            {
                if ((await cluster.ConfigAsync(ct)).Config.IsGivenUp)
                {
                    clusters.Add((name, null, "not monitored any more; its znodes are left"));
                    continue;
                }

                ClusterState? state = await cluster.HasTopologyAsync(ct) ? await cluster.ReadAsync(ct) : null;
                isWhole &= state?.Topology.Master is not null;
                clusters.Add((name, state, state is null ? "no monitor has written a topology yet" : null));
            }
            catch (Exception e) when (e is CliException or ZooKeeperException { Code: ZooKeeperErrorCode.NoAuth })
            {
                isWhole = false;
                clusters.Add((name, null, e is CliException ? e.Message : $"it may not be read with these credentials ({e.Message})"));
            }
        }

        if (json)
        {
            await output.WriteLineAsync(Json(clusters));
        }
        else
        {
            int width = names.Append("cluster").Max(n => n.Length);
            await output.WriteLineAsync(
                $"{"cluster".PadRight(width)}  {"state",-14}  epoch  {"master",-21}  {"replicas",-8}  {"leader",-12}  problems");
            foreach ((string name, ClusterState? state, string? note) in clusters)
            {
                await output.WriteLineAsync(state is null ? $"{name.PadRight(width)}  {note}" : Line(name.PadRight(width), state));
            }
        }

        return isWhole;
    }

    private static string Line(string name, ClusterState state)
    {

        ImmutableArray<Problem> problems = ClusterProblems.Of(state);
        string told = problems.IsEmpty ? "none" : string.Join(", ", problems.Select(p => p.Code.Name).Distinct());
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{name}  {TopologyJson.Name(state.Topology.State),-14}  {state.Topology.Epoch,5}  "
            + $"{state.Topology.Master?.ToString() ?? "none",-21}  "
            + $"{state.Topology.Replicas.Length,-8}  {state.Leader?.Id ?? "none",-12}  {told}");
    }

    private static string Json(List<(string Name, ClusterState? State, string? Note)> clusters) => StatusJson.Text(writer =>
    {
        writer.WriteStartObject();
        writer.WriteStartObject("clusters");
        foreach ((string name, ClusterState? state, _) in clusters)
        {
            StatusJson.Raw(writer, name,
                state is null ? default(ReadOnlyMemory<byte>?) : System.Text.Encoding.UTF8.GetBytes(StatusJson.Of(state)));
        }

        writer.WriteEndObject();
        writer.WriteStartObject("notes");
        foreach ((string name, _, string? note) in clusters.Where(c => c.Note is not null))
        {
            writer.WriteString(name, note);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    });

    private static Command List()
    {
        CommonOptions common = new();
        Command command = common.AddTo(new Command("list", "List the clusters below the root of --zk, a line each"), isOfOne: false);
        command.SetAction(async (parsed, ct) =>
        {
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            ImmutableArray<string> names = await reader.ClustersAsync(ct);
            TextWriter output = parsed.InvocationConfiguration.Output;
            bool json = parsed.GetValue(common.Json);
            if (names.IsEmpty && !json)
            {
                await output.WriteLineAsync($"there are no clusters below {common.ConnectionOf(parsed).Chroot}/clusters: "
                    + "redis-failover clusters add NAME --nodes h:p,h:p");
                return CommandLine.Done;
            }

            await PrintAsync(reader, names, json, output, ct);
            return CommandLine.Done;
        });
        return command;
    }

    private static Command Add()
    {
        CommonOptions common = new();
        Argument<string> name = Name();
        Option<string> nodes = new("--nodes")
        {
            Description = "Its Redis nodes, master and replicas", HelpName = "h:p,h:p", Required = true,
        };
        Command command = common.AddTo(new Command("add", "Have a cluster monitored, by all monitors with --clusters all below this root")
        {
            name, nodes,
        }, isOfOne: false);
        command.SetAction(async (parsed, ct) =>
        {
            string given = CommonOptions.NameOf(parsed.GetValue(name)!);
            ImmutableArray<NodeAddress> addresses = Addresses(parsed.GetValue(nodes)!);
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            await reader.RefuseNodesOfOthersAsync(addresses, given, parsed.InvocationConfiguration.Error, ct);
            (ClusterConfig before, int version) = await reader.Below(given).ConfigAsync(ct);
            if (before is { Nodes.IsEmpty: true, IsGivenUp: false } && await reader.Below(given).HasTopologyAsync(ct))
            {
                throw new CliException(
                    $"there is a cluster {given} already, whose nodes stand in the monitors' own files: "
                    + $"redis-failover nodes add --cluster {given} changes them.", CommandLine.Refused);
            }

            ClusterConfig config = Changed(before, [.. addresses.Select(a => new ConfiguredNode(a))], "added");
            if (!before.Nodes.IsEmpty || !await reader.Below(given).WriteConfigAsync(config, version, ct))
            {
                throw new CliException(
                    $"there is a cluster {given} already: redis-failover nodes add --cluster {given} changes its nodes.",
                    CommandLine.Refused);
            }

            await ChangeRequest.TellAsync(parsed.InvocationConfiguration.Output, parsed.GetValue(common.Json), RequestOutcome.Done,
                $"cluster {given} is to be monitored, with {string.Join(", ", addresses)}", ChangeRequest.Operator);
            return CommandLine.Done;
        });
        return command;
    }

    private static Command Remove()
    {
        CommonOptions common = new();
        Argument<string> name = Name();
        Command command = common.AddTo(new Command("remove", "Have a cluster monitored no longer; its nodes and znodes stay as they are")
        {
            name,
        }, isOfOne: false);
        command.SetAction(async (parsed, ct) =>
        {
            string given = CommonOptions.NameOf(parsed.GetValue(name)!);
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            (ClusterConfig before, int version) = await reader.Below(given).ConfigAsync(ct);
            if (before is { Nodes.IsEmpty: true, IsGivenUp: false })
            {
                ImmutableArray<string> names = await reader.ClustersAsync(ct);
                throw new CliException(
                    names.Contains(given) ? $"cluster {given} is listed in the monitors' own files: take it out there."
                        : $"there is no cluster {given}; there {(names.IsEmpty ? "is none" : $"are {Texts.List(names)}")}.",
                    CommandLine.Refused);
            }

            if (!before.IsGivenUp && !await reader.Below(given).WriteConfigAsync(Changed(before, [], "removed"), version, ct))
            {
                throw new CliException($"cluster {given} was changed meanwhile: look at it, and ask again.", CommandLine.Refused);
            }

            await ChangeRequest.TellAsync(parsed.InvocationConfiguration.Output, parsed.GetValue(common.Json), RequestOutcome.Done,
                before.IsGivenUp ? $"cluster {given} is not monitored: nothing to do"
                    : $"cluster {given} is monitored no longer: nobody replaces its master. Its clients go on with what {given}/nodes "
                        + "says; HAProxy's checks of its nodes are answered with 404",
                ChangeRequest.Operator);
            return CommandLine.Done;
        });
        return command;
    }

    private static ClusterConfig Changed(ClusterConfig before, ImmutableArray<ConfiguredNode> nodes, string what) => before with
    {
        Nodes = nodes,
        IsGivenUp = nodes.IsEmpty,
        ChangedAt = TimeProvider.System.GetUtcNow(),
        ChangedBy = ChangeRequest.Operator,
        Reason = $"cluster {what} by {ChangeRequest.Operator}",
    };

    private static Argument<string> Name() => new("name") { Description = "The cluster's name: its znodes are below ROOT/clusters/NAME" };

    private static ImmutableArray<NodeAddress> Addresses(string text)
    {
        try
        {
            ImmutableArray<NodeAddress> nodes = [.. text
                .Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(NodeAddress.Parse)];
            return nodes.Length > 0 && nodes.Distinct().Count() == nodes.Length ? nodes
                : throw new CliException($"--nodes is '{text}'; allowed: host:port, by commas, each once.", CommandLine.WrongUsage);
        }
        catch (FormatException e)
        {
            throw new CliException($"--nodes: {e.Message}", CommandLine.WrongUsage, e);
        }
    }
}
