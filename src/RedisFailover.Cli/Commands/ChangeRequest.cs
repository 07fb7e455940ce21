using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Commands;

/// <summary>Asks the leading monitor for a change of the cluster's configuration, waits for its answer and tells it.</summary>
internal static class ChangeRequest
{
    /// <summary>How long it may take to withdraw a request that nobody waits for any more.</summary>
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(1);

    /// <summary>How often what has begun, and is not answered in time, is looked after.</summary>
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(200);

    /// <summary>Text that people read stays as it is.</summary>
    internal static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Who asks, for the history.</summary>
    internal static string Operator => string.Create(CultureInfo.InvariantCulture, $"{Environment.UserName}@{Environment.MachineName}");

    /// <summary>Makes a command that asks for a change.</summary>
    internal static Command Create(Command command, Func<ParseResult, ConfigChange> change)
    {
        CommonOptions common = new("--wait");
        common.AddTo(command).SetAction(async (parsed, ct) =>
        {
            ConfigChange asked = change(parsed);
            if (asked is ChangeNodes { Add: { IsEmpty: false } added } && common.RootOf(parsed) is var (root, name))
            {
                await using ClusterReader all =
                    await ClusterReader.ConnectAsync(root, common.TimeoutOf(parsed), parsed.InvocationConfiguration.Error, ct);
                await all.RefuseNodesOfOthersAsync(added, name, parsed.InvocationConfiguration.Error, ct);
            }

            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            return await AskAsync(reader, asked, common.TimeoutOf(parsed), parsed.GetValue(common.Json),
                parsed.InvocationConfiguration.Output, ct);
        });
        return command;
    }

    /// <summary>The exit code: 0 done, 3 refused. No answer in time is an error; the request is taken back then.</summary>
    internal static async Task<int> AskAsync(ClusterReader reader, ConfigChange change, TimeSpan wait, bool json, TextWriter output,
        CancellationToken ct)
    {
        await reader.RequireTopologyAsync(ct);
        string id = await reader.Requests.MakeAsync(
            new OperatorRequest("")
            {
                Change = change,
                By = Operator,
                At = TimeProvider.System.GetUtcNow(),
            },
            ct);
        RequestAnswer answer = await AnswerAsync(reader, id, wait, ct);
        await TellAsync(output, json, answer.Outcome, answer.Reason, answer.By);
        return answer.Outcome == RequestOutcome.Done ? CommandLine.Done : CommandLine.Refused;
    }

    /// <summary>What became of a change, as text or as JSON.</summary>
    internal static Task TellAsync(TextWriter output, bool json, RequestOutcome outcome, string reason, string by)
        => output.WriteLineAsync(json
            ? Json(outcome.ToString().ToLowerInvariant(), reason, by) : $"{outcome.ToString().ToLowerInvariant()}: {reason}");

    /// <summary>The document of a command that changes something, and of any that fails.</summary>
    internal static string Json(string outcome, string reason, string by) => JsonSerializer.Serialize(new { outcome, reason, by }, Relaxed);

    /// <summary>
    /// The answer to a request. One that nobody answers in time is taken back, and so is one at Ctrl-C: what is asked for is not to happen
    /// when nobody expects it, hours later perhaps, when a monitor leads again. What has begun is not: it ends.
    /// </summary>
    /// <exception cref="CliException">There is none. Who cannot be told what became of it has to know that it stands there.</exception>
    internal static async Task<RequestAnswer> AnswerAsync(ClusterReader reader, string id, TimeSpan wait, CancellationToken ct)
    {
        try
        {
            return await InTimeAsync(reader, id, wait, ct);
        }
        catch (ZooKeeperException e)
        {
            throw new CliException($"ZooKeeper: {e.Message} {StillStands(id)}", inner: e);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            return await InterruptedAsync(reader, id);
        }
        catch (CliException e) when (e.InnerException is OperationCanceledException)
        {
            throw new CliException($"{e.Message.TrimEnd('.')}. {StillStands(id)}", e.ExitCode, e);
        }
    }

    private static async Task<RequestAnswer> InterruptedAsync(ClusterReader reader, string id)
    {
        using CancellationTokenSource soon = new();
        soon.CancelAfter(Farewell);
        try
        {
            TakenBack taken = await reader.Requests.WithdrawAsync(id, soon.Token);
            return taken.Answer ?? throw new CliException($"interrupted; {taken}");
        }
        catch (Exception e) when (e is OperationCanceledException or ZooKeeperException
            || (e is CliException && e.InnerException is OperationCanceledException))
        {
            throw new CliException($"interrupted; {StillStands(id)}", inner: e);
        }
    }

    /// <summary>The cluster, for what is said beside the outcome; null where it cannot be read.</summary>
    internal static async Task<ClusterState?> LookAsync(ClusterReader reader, CancellationToken ct)
    {
        try
        {
            return await reader.ReadAsync(ct);
        }
        catch (Exception e) when (e is OperationCanceledException or ZooKeeperException or CliException)
        {
            return null;
        }
    }

    private static string StillStands(string id)
        => $"The request {id} may still be carried out: redis-failover requests list shows it, requests withdraw takes it back.";

    private static async Task<RequestAnswer> InTimeAsync(ClusterReader reader, string id, TimeSpan wait, CancellationToken ct)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (true)
        {
            using CancellationTokenSource waiting = CancellationTokenSource.CreateLinkedTokenSource(ct);
            TimeSpan left = wait - TimeProvider.System.GetElapsedTime(start);
            waiting.CancelAfter(left > Again ? left : Again);
            try
            {
                return await reader.Requests.AnswerAsync(id, waiting.Token);
            }
            catch (OperationCanceledException) when (!ct.IsCancellationRequested)
            {
                // As long again for what has begun then: it is done or undone in its time, unless nobody leads.
            }

            TakenBack taken = await reader.Requests.WithdrawAsync(id, ct);
            if (taken.Answer is { } answer)
            {
                return answer;
            }

            bool hasBegun = taken is { IsWithdrawn: false, UnderWay: not null };
            if (!hasBegun || TimeProvider.System.GetElapsedTime(start) > 2 * wait)
            {
                throw new CliException($"no answer within {wait.TotalSeconds:0.###} s ({await LeadingAsync(reader, ct)}); {taken}");
            }
        }
    }

    private static async Task<string> LeadingAsync(ClusterReader reader, CancellationToken ct)
    {
        ClusterState? state = await LookAsync(reader, ct);
        return state is null ? "the cluster cannot be read"
            : !state.IsLed ? "no monitor leads; start the monitors"
            : $"the leading monitor is {state.Leader?.Id ?? "not known: its znode is not readable"}";
    }
}
