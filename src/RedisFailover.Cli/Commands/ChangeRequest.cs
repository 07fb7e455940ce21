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
        RequestAnswer answer = await NotForgottenAsync(reader, id, AnswerAsync(reader, id, wait, ct), ct);
        await TellAsync(output, json, answer.Outcome, answer.Reason, answer.By);
        return answer.Outcome == RequestOutcome.Done ? CommandLine.Done : CommandLine.Refused;
    }

    /// <summary>What became of a change, as text or as JSON.</summary>
    internal static Task TellAsync(TextWriter output, bool json, RequestOutcome outcome, string reason, string by)
        => output.WriteLineAsync(json
            ? Json(outcome.ToString().ToLowerInvariant(), reason, by) : $"{outcome.ToString().ToLowerInvariant()}: {reason}");

    /// <summary>The document of a command that changes something, and of any that fails.</summary>
    internal static string Json(string outcome, string reason, string by) => JsonSerializer.Serialize(new { outcome, reason, by }, Relaxed);

    /// <summary>Who cannot be told what became of a request has to know that it stands there.</summary>
    internal static async Task<T> NotForgottenAsync<T>(ClusterReader reader, string id, Task<T> answer, CancellationToken ct)
    {
        try
        {
            return await answer;
        }
        catch (ZooKeeperException e)
        {
            throw new CliException($"ZooKeeper: {e.Message} {StillStands(id)}", inner: e);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            throw new CliException(await TakeBackAsync(reader, id));
        }
        catch (CliException e) when (e.InnerException is OperationCanceledException)
        {
            throw new CliException($"{e.Message.TrimEnd('.')}. {StillStands(id)}", e.ExitCode, e);
        }
    }

    /// <summary>
    /// Ctrl-C: nobody waits for the answer any more, and what is asked for is not to happen when nobody expects it, hours later perhaps,
    /// when a monitor leads again. What became of the request.
    /// </summary>
    internal static async Task<string> TakeBackAsync(ClusterReader reader, string id)
    {
        using CancellationTokenSource soon = new();
        soon.CancelAfter(Farewell);
        try
        {
            OperatorRequest? request = await reader.Requests.FindAsync(id, soon.Token);
            if (request is { Answer: null } && await reader.Requests.WithdrawAsync(request, soon.Token))
            {
                return $"interrupted; {await WithdrawnAsync(reader, request, soon.Token)}";
            }

            request = await reader.Requests.FindAsync(id, soon.Token);
            return request?.Answer is { } answer
                ? $"interrupted; it is {answer.Outcome.ToString().ToLowerInvariant()}: {answer.Reason}"
                : "interrupted; the request is gone.";
        }
        catch (Exception e) when (e is OperationCanceledException or ZooKeeperException or CliException)
        {
            return $"interrupted; {StillStands(id)}";
        }
    }

    /// <summary>What has begun goes on, whether or not somebody waits for its answer.</summary>
    internal static async Task<string> WithdrawnAsync(ClusterReader reader, OperatorRequest request, CancellationToken ct)
    {
        Topology? topology = request.IsSwitchover ? (await LookAsync(reader, ct))?.Topology : null;
        return topology is { IsChangingMaster: true }
            ? $"the request is withdrawn, but a change of master is under way and goes on: {topology.Reason}"
            : "the request is withdrawn.";
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

    private static async Task<RequestAnswer> AnswerAsync(ClusterReader reader, string id, TimeSpan wait, CancellationToken ct)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(ct);
        patience.CancelAfter(wait);
        try
        {
            return await reader.Requests.AnswerAsync(id, patience.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            OperatorRequest? request = await reader.Requests.FindAsync(id, ct);
            if (request is { Answer: null } && await reader.Requests.WithdrawAsync(request, ct))
            {
                ClusterState? state = await LookAsync(reader, ct);
                string why = state is null ? $"no answer within {wait.TotalSeconds:0.###} s"
                    : !state.IsLed ? $"no answer within {wait.TotalSeconds:0.###} s: no monitor leads; start the monitors"
                    : state.Topology.IsChangingMaster
                        ? $"no answer within {wait.TotalSeconds:0.###} s: a change of master is under way: {state.Topology.Reason}"
                    : $"no answer within {wait.TotalSeconds:0.###} s from the leading monitor, "
                        + $"{state.Leader?.Id ?? "whose znode is not readable"}";
                throw new CliException($"{why}. The request is withdrawn, nothing is changed.");
            }

            return (await reader.Requests.FindAsync(id, ct))?.Answer
                ?? throw new CliException($"the request {id} was removed by somebody else.");
        }
    }
}
