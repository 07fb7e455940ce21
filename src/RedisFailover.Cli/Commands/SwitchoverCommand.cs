using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Commands;

/// <summary>
/// switchover and failover: a request to the leading monitor for another master, its answer, and how long each step took.
/// </summary>
internal static class SwitchoverCommand
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    private static readonly TimeSpan HistoryWait = TimeSpan.FromSeconds(1);

    internal static Command Create() => Create(
        "switchover",
        "Let a living master hand over to a replica: nothing is lost, or nothing is changed. Exit codes: 0 done, or nothing to do; 1 no "
            + "answer; 2 wrong usage; 3 refused; 4 undone",
        "Promote the node that is named although it is not fit: writes may be lost");

    internal static Command CreateFailover() => Create(
        "failover",
        "Get another master: by a handover where it answers, as switchover does. A failover that failover-interval holds back starts now. "
            + "A "
            + "master that the leading monitor cannot reach is replaced only with host:port (the replica to promote) and --force. Exit "
            + "codes "
            + "as those of switchover",
        "Promote the node that is named although it is not fit, or go on with a failover that waits for a node: writes may be lost");

    private static Command Create(string name, string description, string forced)
    {
        CommonOptions common = new("--wait", 10);
        Argument<string?> target = new("host:port")
        {
            Description = "The replica that becomes master; the best one when left out",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Option<TimeSpan?> timeout = Durations.Option(
            "--timeout",
            "How long writes may be held before all is undone (default: as the monitors are configured, 2s)",
            null,
            TimeSpan.FromMilliseconds(100),
            TimeSpan.FromMinutes(1));
        Option<bool> force = new("--force")
        {
            Description = forced,
        };
        Command command = common.AddTo(new Command(name, description) { target, timeout, force });
        command.SetAction(async (parsed, ct) =>
        {
            OperatorRequest request = new("")
            {
                Target = Node(parsed.GetValue(target)),
                Timeout = parsed.GetValue(timeout),
                Force = parsed.GetValue(force),
                By = string.Create(CultureInfo.InvariantCulture,
                    $"{Environment.UserName}@{Environment.MachineName}, pid {Environment.ProcessId}"),
                At = TimeProvider.System.GetUtcNow(),
            };
            TimeSpan wait = common.TimeoutOf(parsed);
            await using ClusterReader reader = await ClusterReader.ConnectAsync(
                common.ConnectionOf(parsed), wait, parsed.InvocationConfiguration.Error, ct);
            return await AskAsync(reader, request, wait, parsed.GetValue(common.Json), parsed.InvocationConfiguration.Output, ct);
        });
        return command;
    }

    private static NodeAddress? Node(string? text)
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

    /// <summary>Why it makes no sense to ask now, or null. The leading monitor's word counts; this is what is plain to see.</summary>
    internal static string? Busy(Topology topology, string? pendingWish, ImmutableArray<OperatorRequest> pending)
        => topology.State == TopologyState.SwitchingOver ? $"a switchover is under way already: {topology.Reason}"
            : pendingWish is not null ? $"a failover to {Words.Quoted(pendingWish)} was asked for already and is not done yet."
            : pending.FirstOrDefault(r => r.IsSwitchover) is { } first
                ? $"a change of master was asked for already and is not done yet, by {first.By}: "
                    + $"redis-failover requests withdraw {first.Id} takes it back."
            : null;

    private static async Task<int> AskAsync(
        ClusterReader reader, OperatorRequest request, TimeSpan wait, bool json, TextWriter output, CancellationToken ct)
    {
        ClusterState before = await reader.ReadAsync(ct);
        if (request.Target is not null && request.Target == before.Topology.Master && !before.Topology.IsChangingMaster)
        {
            if (request.Force)
            {
                throw new CliException(
                    $"{request.Target} is the master already; with --force give the replica that is to take its place",
                        CommandLine.Refused);
            }

            return await TellAsync(
                output,
                json,
                new RequestAnswer(RequestOutcome.Done, $"{request.Target} is the master already: nothing to do", request.Target,
                    before.Topology.Epoch),
                before.Topology.Master,
                null);
        }

        if (Busy(before.Topology, before.Wish, await reader.Requests.PendingAsync(ct)) is { } why)
        {
            throw new CliException(why, CommandLine.Refused);
        }

        ImmutableArray<HistoryEntry> history = await reader.HistoryAsync(ct);
        string id = await reader.Requests.MakeAsync(request, ct);
        RequestAnswer answer = await ChangeRequest.AnswerAsync(reader, id, wait + (request.Timeout ?? TimeSpan.Zero), ct);
        HistoryEntry? steps = answer.Outcome == RequestOutcome.Refused ? null : await StepsAsync(reader, history, answer, ct);
        return await TellAsync(output, json, answer, before.Topology.Master, steps);
    }

    /// <summary>
    /// The history's entry, which is written right after the topology and knows how long that took; null when it does not come, or nobody
    /// waits for it.
    /// </summary>
    private static async Task<HistoryEntry?> StepsAsync(ClusterReader reader, ImmutableArray<HistoryEntry> before, RequestAnswer answer,
        CancellationToken ct)
    {
        long start = TimeProvider.System.GetTimestamp();
        HistoryEntry? entry;
        while (
            (entry = (await HistoryAsync(reader, ct)).Except(before)
                .LastOrDefault(e => e.Epoch == answer.Epoch && e.To == answer.Master)) is null
            && TimeProvider.System.GetElapsedTime(start) < HistoryWait && !ct.IsCancellationRequested)
        {
            await Task.Delay(Pause, TimeProvider.System, CancellationToken.None);
        }

        return entry;
    }

    /// <summary>The answer is there; that the history cannot be read must not hide it.</summary>
    private static async Task<ImmutableArray<HistoryEntry>> HistoryAsync(ClusterReader reader, CancellationToken ct)
    {
        try
        {
            return await reader.HistoryAsync(ct);
        }
        catch (Exception e) when (e is ZooKeeperException or CliException or OperationCanceledException)
        {
            return [];
        }
    }

    /// <summary>The document of these commands; what is not known is null.</summary>
    internal static string Json(
        string outcome, string reason, RequestAnswer? answer = null, NodeAddress? before = null, HistoryEntry? entry = null)
        => JsonSerializer.Serialize(
            new
            {
                outcome,
                reason,
                from = before?.ToString(),
                master = answer?.Master?.ToString(),
                epoch = answer?.Epoch,
                bytesBehind = entry?.BytesBehind,
                millis = (entry?.Millis ?? answer?.Millis ?? []).ToDictionary(step => step.Key, step => step.Value),
            },
            ChangeRequest.Relaxed);

    private static async Task<int> TellAsync(TextWriter output, bool json, RequestAnswer answer, NodeAddress? before, HistoryEntry? entry)
    {
        ImmutableArray<KeyValuePair<string, double>> steps = entry?.Millis ?? answer.Millis;
        // Another change may have come between the first look and this one.
        before = entry?.From ?? before;
        int code = answer.Outcome switch
        {
            RequestOutcome.Done => CommandLine.Done,
            RequestOutcome.Refused => CommandLine.Refused,
            _ => CommandLine.Undone,
        };
        if (json)
        {
            await output.WriteLineAsync(Json(answer.Outcome.ToString().ToLowerInvariant(), answer.Reason, answer, before, entry));
            return code;
        }

        await output.WriteLineAsync($"{answer.Outcome.ToString().ToLowerInvariant()}: {answer.Reason}");
        if (before != answer.Master)
        {
            await output.WriteLineAsync($"master: {before?.ToString() ?? "none"} -> {answer.Master?.ToString() ?? "none"}");
        }

        foreach ((string step, double millis) in steps)
        {
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"  {step,-12} {millis,8:0.0} ms"));
        }

        if (entry?.BytesBehind is > 0 and var lost)
        {
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"lost: {lost} bytes of the old master's stream"));
        }

        return code;
    }
}
