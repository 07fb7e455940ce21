using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>failover: asks the monitors for another master, waits for the outcome and tells it.</summary>
internal static class FailoverCommand
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan HistoryWait = TimeSpan.FromSeconds(1);

    internal static Command Create()
    {
        CommonOptions common = new();
        Argument<string?> target = new("host:port")
        {
            Description = "The replica that becomes master; the best one when left out",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Command command = common.AddTo(new Command("failover", "Make a replica the master, and wait until it is") { target });
        command.SetAction(async (parsed, ct) =>
        {
            NodeAddress? node = Target(parsed.GetValue(target));
            TimeSpan timeout = common.TimeoutOf(parsed);
            await using ClusterReader reader = await ClusterReader.ConnectAsync(
                common.ConnectionOf(parsed), timeout, parsed.InvocationConfiguration.Error, ct);
            return await AskAsync(reader, node, timeout, parsed.GetValue(common.Json), parsed.InvocationConfiguration.Output, ct);
        });
        return command;
    }

    /// <summary>Why that wish cannot be fulfilled, or null. Not the monitors' verdict, only what is plain to see.</summary>
    internal static string? Refuse(Topology topology, NodeAddress? target, string? pendingWish)
    {
        if (pendingWish is not null)
        {
            return $"a failover to {pendingWish} was asked for already and is not done yet.";
        }

        if (topology.IsChangingMaster)
        {
            return $"a change of master is under way: {topology.Reason}";
        }

        // Without any master an operator may choose whichever node there is; the monitors check it.
        return target is not null && topology.State == TopologyState.Ok && !topology.Replicas.Contains(target)
            ? $"{target} is not a replica; the replicas: {Texts.Nodes(topology.Replicas)}."
            : null;
    }

    private static async Task<int> AskAsync(
        ClusterReader reader, NodeAddress? target, TimeSpan timeout, bool json, TextWriter output, CancellationToken ct)
    {
        ClusterState before = await reader.ReadAsync(ct);
        if (target is not null && target == before.Topology.Master)
        {
            return await TellAsync(output, json, "nothing to do", before.Topology, $"{target} is the master already: nothing to do", null);
        }

        if (Refuse(before.Topology, target, before.Wish) is { } why)
        {
            throw new CliException(why);
        }

        ImmutableArray<HistoryEntry> history = await reader.HistoryAsync(ct);
        long start = TimeProvider.System.GetTimestamp();
        if (!await reader.WishAsync(target?.ToString() ?? ZnodePaths.AnyReplica, ct))
        {
            throw new CliException("a failover was asked for at this same moment and is not done yet.");
        }

        Topology after = before.Topology;
        while (await reader.IsWishPendingAsync(ct) || (after = (await reader.ReadAsync(ct)).Topology).IsChangingMaster)
        {
            if (TimeProvider.System.GetElapsedTime(start) > timeout)
            {
                string taken = await reader.WithdrawAsync(ct) ? "the wish is withdrawn" : $"it is under way: {after.Reason}";
                string leader = before.Leader is null ? "no monitor leads" : $"the leading monitor is {before.Leader.Id}";
                throw new CliException($"not done within {timeout.TotalSeconds:0.###} s ({leader}); {taken}.");
            }

            await Task.Delay(Pause, ct);
        }

        HistoryEntry? outcome = await OutcomeAsync(reader, history, ct);
        return after.Master is not null && after.Master != before.Topology.Master && (target is null || after.Master == target)
            ? await TellAsync(output, json, "done", after, $"master: {before.Topology.Master?.ToString() ?? "none"} -> {after.Master}", outcome)
            : throw new CliException($"not done: {outcome?.Reason ?? after.Reason}");
    }

    /// <summary>What the history says about it: written right after the topology, so a moment later; null when it does not come.</summary>
    private static async Task<HistoryEntry?> OutcomeAsync(ClusterReader reader, ImmutableArray<HistoryEntry> before, CancellationToken ct)
    {
        long start = TimeProvider.System.GetTimestamp();
        HistoryEntry? outcome;
        while ((outcome = (await reader.HistoryAsync(ct)).Except(before).LastOrDefault(Answers)) is null
            && TimeProvider.System.GetElapsedTime(start) < HistoryWait)
        {
            await Task.Delay(Pause, ct);
        }

        return outcome;
    }

    private static bool Answers(HistoryEntry entry)
        => entry.Kind is HistoryKind.Switchover or HistoryKind.Failover or HistoryKind.Restored or HistoryKind.Refused or HistoryKind.Adopted;

    private static async Task<int> TellAsync(TextWriter output, bool json, string result, Topology topology, string text, HistoryEntry? outcome)
    {
        if (json)
        {
            await output.WriteLineAsync(JsonSerializer.Serialize(
                new
                {
                    result,
                    master = topology.Master?.ToString(),
                    epoch = topology.Epoch,
                    reason = outcome?.Reason ?? topology.Reason,
                    millis = outcome?.Millis.ToDictionary(step => step.Key, step => step.Value),
                }));
            return CommandLine.Done;
        }

        await output.WriteLineAsync(text);
        if (outcome is not null)
        {
            string steps = string.Join(", ", outcome.Millis.Select(step => string.Create(CultureInfo.InvariantCulture, $"{step.Key} {step.Value:0.0} ms")));
            await output.WriteLineAsync($"{outcome.Reason}{(steps.Length > 0 ? $" ({steps})" : "")}");
        }

        return CommandLine.Done;
    }

    internal static NodeAddress? Target(string? text)
    {
        try
        {
            return text is null ? null : NodeAddress.Parse(text);
        }
        catch (FormatException e)
        {
            throw new CliException(e.Message, CommandLine.WrongUsage, e);
        }
    }
}
