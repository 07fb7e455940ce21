using System.Collections.Immutable;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>What a finished command said.</summary>
public sealed record CliResult(int ExitCode, string Output, string Errors)
{
    public override string ToString() => $"exit code {ExitCode}\n--- stdout\n{Output}\n--- stderr\n{Errors}";
}

/// <summary>Runs the operator's tool as it was built, to its end or (watch, load) in the background.</summary>
public static class CliProcess
{
    /// <summary>Runs it to its end, at most <paramref name="within"/> (default 90 s) from its start.</summary>
    public static async Task<CliResult> RunAsync(ImmutableArray<string> arguments, TimeSpan? within = null,
        ImmutableDictionary<string, string?>? environment = null, CancellationToken ct = default)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        await using ChildProcess process = await StartAsync(arguments, environment, ct);
        deadline.CancelAfter(within ?? TimeSpan.FromSeconds(90));
        try
        {
            int exitCode = await process.WaitForExitAsync(deadline.Token);
            return new CliResult(exitCode, string.Join('\n', process.Output), string.Join('\n', process.Errors));
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new TimeoutException($"redis-failover {string.Join(' ', arguments)} did not end in time.\n{process.Tail()}");
        }
    }

    public static Task<ChildProcess> StartAsync(
        ImmutableArray<string> arguments, ImmutableDictionary<string, string?>? environment = null, CancellationToken ct = default)
        => ChildProcess.StartAsync(
            new ChildProcessOptions($"redis-failover {arguments.FirstOrDefault()}", Programs.Dotnet, [Programs.Cli, .. arguments])
            {
                Environment = environment ?? ImmutableDictionary<string, string?>.Empty,
            }, ct);
}
