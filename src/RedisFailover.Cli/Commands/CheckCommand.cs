using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>check: would a failover work now, and is there any problem? For scripts and monitoring: the exit code tells.</summary>
internal static class CheckCommand
{
    internal static Command Create()
    {
        CommonOptions common = new();
        Option<bool> nagios = new("--nagios")
        {
            Description = "One line and the exit codes of a Nagios plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN",
        };
        Command command = common.AddTo(new Command(
            "check",
                "Tell whether a failover would work now, and all problems. Exit code 0: it would, and there are none; 1: otherwise; 2: "
                    + "wrong usage") { nagios });
        command.Validators.Add(result =>
        {
            if (result.GetValue(nagios) && result.GetValue(common.Json))
            {
                result.AddError("--nagios and --json are given; allowed: one of them.");
            }
        });
        command.SetAction(async (parsed, ct) =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (!parsed.GetValue(nagios))
            {
                return await CheckAsync(common, parsed, output, ct);
            }

            ClusterState state = await ReadAsync(common, parsed, TextWriter.Null, ct);
            (int code, string line) = Nagios(state);
            await output.WriteLineAsync(line);
            return code;
        });
        return command;
    }

    /// <summary>A plugin's code for what it could not find out, wrong usage included.</summary>
    internal const int Unknown = 3;

    /// <summary>Whether that was to be a plugin's check.</summary>
    internal static bool IsPlugin(ParseResult parsed)
        => parsed.CommandResult.Command.Name == "check" && parsed.Tokens.Any(token => token.Value == "--nagios");

    private static async Task<int> CheckAsync(CommonOptions common, ParseResult parsed, TextWriter output, CancellationToken ct)
    {
        ClusterState state = await ReadAsync(common, parsed, parsed.InvocationConfiguration.Error, ct);
        ImmutableArray<Problem> problems = ClusterProblems.Of(state);
        (bool possible, string text) = ClusterProblems.Failover(state);
        int code = possible && problems.IsEmpty ? CommandLine.Done : CommandLine.Failed;
        if (parsed.GetValue(common.Json))
        {
            await output.WriteLineAsync(StatusJson.Text(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("status",
                    Severity(possible, problems) switch { null => "ok", { } severity => ProblemJson.Name(severity) });
                writer.WriteString("master", state.Topology.Master?.ToString());
                writer.WriteString("state", TopologyJson.Name(state.Topology.State));
                writer.WriteNumber("epoch", state.Topology.Epoch);
                StatusJson.Failover(writer, state);
                StatusJson.Problems(writer, problems);
                writer.WriteEndObject();
            }));
            return code;
        }

        await output.WriteLineAsync($"failover {text}");
        if (!problems.IsEmpty)
        {
            await output.WriteLineAsync();
            StatusCommand.PrintProblems(problems, TimeProvider.System.GetUtcNow(), output);
        }

        return code;
    }

    /// <summary>The plugin's exit code and its one line.</summary>
    internal static (int Code, string Line) Nagios(ClusterState state)
    {
        ImmutableArray<Problem> problems = ClusterProblems.Of(state);
        (bool possible, string text) = ClusterProblems.Failover(state);
        (int code, string word) = Severity(possible, problems) switch
        {
            null => (0, "OK"),
            ProblemSeverity.Warning => (1, "WARNING"),
            _ => (2, "CRITICAL"),
        };
        string what = problems.IsEmpty ? $"failover {text}" : string.Join("; ", problems.Select(p => $"{p.Code}: {p.Message}"));
        // The bar begins the figures.
        what = what.Replace('|', '/');
        return (code, string.Create(
            CultureInfo.InvariantCulture,
            $"REDIS_FAILOVER {word} - master {state.Topology.Master?.ToString() ?? "none"}, {what} | problems={problems.Length} "
                + $"replicas={state.Topology.Replicas.Length} monitors={state.Monitors.Count} epoch={state.Topology.Epoch}"));
    }

    private static ProblemSeverity? Severity(bool possible, ImmutableArray<Problem> problems)
        => !possible || problems.Any(p => p.Severity == ProblemSeverity.Critical) ? ProblemSeverity.Critical
            : problems.IsEmpty ? null
            : ProblemSeverity.Warning;

    private static async Task<ClusterState> ReadAsync(CommonOptions common, ParseResult parsed, TextWriter errors, CancellationToken ct)
    {
        await using ClusterReader reader =
            await ClusterReader.ConnectAsync(common.ConnectionOf(parsed), common.TimeoutOf(parsed), errors, ct);
        return await reader.ReadAsync(ct);
    }
}
