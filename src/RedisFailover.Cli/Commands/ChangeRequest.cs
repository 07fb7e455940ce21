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
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Who asks, for the history.</summary>
    internal static string Operator => string.Create(CultureInfo.InvariantCulture, $"{Environment.UserName}@{Environment.MachineName}");

    /// <summary>Makes a command that asks for a change.</summary>
    internal static Command Create(Command command, Func<ParseResult, ConfigChange> change)
    {
        CommonOptions common = new("--wait");
        common.AddTo(command).SetAction(async (parsed, ct) =>
        {
            ConfigChange asked = change(parsed);
            await using ClusterReader reader = await ClusterReader.ConnectAsync(
                common.ConnectionOf(parsed), common.TimeoutOf(parsed), parsed.InvocationConfiguration.Error, ct);
            return await AskAsync(reader, asked, common.TimeoutOf(parsed), parsed.GetValue(common.Json),
                parsed.InvocationConfiguration.Output, ct);
        });
        return command;
    }

    /// <summary>The exit code: 0 done, 3 refused. No answer in time is an error; the request is taken back then.</summary>
    internal static async Task<int> AskAsync(ClusterReader reader, ConfigChange change, TimeSpan wait, bool json, TextWriter output,
        CancellationToken ct)
    {
        string id = await reader.RequestAsync(
            new OperatorRequest("")
            {
                Change = change,
                By = Operator,
                At = TimeProvider.System.GetUtcNow(),
            },
            ct);
        RequestAnswer answer = await NotForgottenAsync(id, AnswerAsync(reader, id, wait, ct));
        if (json)
        {
            await output.WriteLineAsync(JsonSerializer.Serialize(
                new { outcome = answer.Outcome.ToString().ToLowerInvariant(), reason = answer.Reason, by = answer.By }, Relaxed));
        }
        else
        {
            await output.WriteLineAsync($"{answer.Outcome.ToString().ToLowerInvariant()}: {answer.Reason}");
        }

        return answer.Outcome == RequestOutcome.Done ? CommandLine.Done : CommandLine.Refused;
    }

    /// <summary>Who cannot be told what became of a request has to know that it stands there.</summary>
    internal static async Task<T> NotForgottenAsync<T>(string id, Task<T> answer)
    {
        try
        {
            return await answer;
        }
        catch (ZooKeeperException e)
        {
            throw new CliException($"ZooKeeper: {e.Message} The request {id} may still be carried out.", inner: e);
        }
    }

    private static async Task<RequestAnswer> AnswerAsync(ClusterReader reader, string id, TimeSpan wait, CancellationToken ct)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(ct);
        patience.CancelAfter(wait);
        try
        {
            return await reader.AnswerAsync(id, patience.Token);
        }
        catch (OperationCanceledException)
        {
            // Also after Ctrl-C: nobody waits for it any more.
            OperatorRequest? request = await reader.RequestAsync(id, CancellationToken.None);
            if (request is { Answer: null } && await reader.WithdrawAsync(request, CancellationToken.None))
            {
                ClusterState state = await reader.ReadAsync(CancellationToken.None);
                string why = ct.IsCancellationRequested ? "interrupted"
                    : !state.IsLed ? $"no answer within {wait.TotalSeconds:0.###} s: no monitor leads; start the monitors"
                    : state.Topology.IsChangingMaster
                        ? $"no answer within {wait.TotalSeconds:0.###} s: a change of master is under way: {state.Topology.Reason}"
                    : $"no answer within {wait.TotalSeconds:0.###} s from the leading monitor, "
                        + $"{state.Leader?.Id ?? "whose znode is not readable"}";
                throw new CliException($"{why}. The request is withdrawn, nothing is changed.");
            }

            return (await reader.RequestAsync(id, CancellationToken.None))?.Answer
                ?? throw new CliException($"the request {id} was removed by somebody else.");
        }
    }
}
