using System.Collections.Immutable;
using System.CommandLine;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>requests list and withdraw: what was asked for and is not answered yet, and how it is taken back.</summary>
internal static class RequestsCommand
{
    internal static Command Create() => new("requests", "What operators asked for and no monitor has answered yet") { List(), Withdraw() };

    private static Command List()
    {
        CommonOptions common = new();
        Command command = common.AddTo(new Command("list", "List the requests that wait for the leading monitor, the oldest first"));
        command.SetAction(async (parsed, ct) =>
        {
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            ImmutableArray<OperatorRequest> pending = await reader.Requests.PendingAsync(ct);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(common.Json))
            {
                await output.WriteLineAsync(Json(pending));
                return CommandLine.Done;
            }

            foreach (OperatorRequest request in pending)
            {
                await output.WriteLineAsync($"{request.Id}  {Texts.Utc(request.At)}  {request.By}: {Asked(request)}");
            }

            if (pending.IsEmpty)
            {
                await output.WriteLineAsync("no request waits");
            }

            return CommandLine.Done;
        });
        return command;
    }

    private static Command Withdraw()
    {
        CommonOptions common = new();
        Argument<string> id = new("id") { Description = "The request, as requests list names it" };
        Command command = common.AddTo(new Command("withdraw", "Take a request back that is not answered yet") { id });
        command.SetAction(async (parsed, ct) =>
        {
            string name = parsed.GetValue(id)!;
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            OperatorRequest? request = (await reader.Requests.PendingAsync(ct)).FirstOrDefault(r => r.Id == name);
            TakenBack taken = request is null ? TakenBack.Gone : await reader.Requests.WithdrawAsync(name, ct);
            if (request is null || !taken.IsWithdrawn)
            {
                throw new CliException(
                    taken is { Answer: null, UnderWay: not null } ? $"{name} ({Asked(request!)}, by {request!.By}): {taken}"
                        : $"no request '{Words.Quoted(name)}' waits: it is answered, or there is none.", CommandLine.Refused);
            }

            await ChangeRequest.TellAsync(parsed.InvocationConfiguration.Output, parsed.GetValue(common.Json), RequestOutcome.Done,
                $"{name} ({Asked(request)}, by {request.By}): {taken}",
                ChangeRequest.Operator);
            return CommandLine.Done;
        });
        return command;
    }

    private static string Asked(OperatorRequest request)
        => request.Fault is { } fault ? $"not readable: {fault}"
            : request.Change is { } change ? change switch
            {
                PauseFailover => "pause failover",
                ResumeFailover => "resume failover",
                AdoptNode adopt => $"take {adopt.Node} in and discard its data",
                ChangeNodes nodes => string.Join(", ", nodes.Add.Select(n => $"add {n}").Concat(nodes.Remove.Select(n => $"remove {n}"))
                    .Concat(nodes.Tags.Keys.Select(n => $"tag {n}"))),
                _ => change.ToString(),
            }
            : $"another master: {request.Target?.ToString() ?? "any replica"}{(request.Force ? ", by force" : "")}";

    private static string Json(ImmutableArray<OperatorRequest> requests) => StatusJson.Text(writer =>
    {
        writer.WriteStartArray();
        foreach (OperatorRequest request in requests)
        {
            writer.WriteStartObject();
            writer.WriteString("id", request.Id);
            StatusJson.Raw(writer, "request", request.Fault is null ? request.Write() : (ReadOnlyMemory<byte>?)null);
            writer.WriteString("fault", request.Fault);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    });
}
