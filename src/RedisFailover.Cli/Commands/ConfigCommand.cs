using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>config show, get, set and edit: settings that hold for all monitors, changed while they run.</summary>
internal static class ConfigCommand
{
    internal static Command Create()
        => new("config", "Show and change settings that hold for all monitors, while they run") { Show(), Get(), Set(), Edit() };

    private static Command Show()
    {
        CommonOptions common = new();
        Command command =
            common.AddTo(new Command("show", "Show what was changed for all monitors; everything else is as in the monitors' files"));
        command.SetAction(async (parsed, ct) =>
        {
            ClusterState state = await ReadAsync(common, parsed, ct);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(common.Json))
            {
                await output.WriteLineAsync(StatusJson.Text(writer =>
                {
                    writer.WriteStartObject();
                    writer.WriteNumber("version", state.ConfigVersion);
                    StatusJson.Raw(writer, "config", state.ConfigJson);
                    writer.WriteEndObject();
                }));
                return CommandLine.Done;
            }

            ClusterConfig config = state.Config ?? ClusterConfig.Empty;
            if (state.Config is null && state.ConfigVersion >= 0)
            {
                throw new CliException($"{state.Unreadable.FirstOrDefault() ?? "the configuration is not readable"}");
            }

            await output.WriteLineAsync(state.ConfigVersion < 0
                ? "nothing was changed for all monitors: each goes by its own file (docs/configuration.md)"
                : string.Create(CultureInfo.InvariantCulture,
                    $"# version {state.ConfigVersion}, {Texts.Utc(config.ChangedAt)}, by {config.ChangedBy}: {config.Reason}"));
            await output.WriteAsync(Lines(config));
            foreach ((string id, MonitorReport report) in state.Monitors.Where(m => m.Value.ConfigVersion != state.ConfigVersion))
            {
                await output.WriteLineAsync(
                    string.Create(CultureInfo.InvariantCulture, $"# {id} goes by version {report.ConfigVersion} still"));
            }

            return CommandLine.Done;
        });
        return command;
    }

    private static Command Get()
    {
        CommonOptions common = new();
        Argument<string> name = new("name") { Description = "The setting, as max-failures" };
        name.CompletionSources.Add([.. ClusterSettings.Names]);
        Command command =
            common.AddTo(new Command("get", "Print one setting. Exit code 1 where it is not changed for all monitors") { name });
        command.SetAction(async (parsed, ct) =>
        {
            string known = Known(parsed.GetValue(name)!);
            ClusterState state = await ReadAsync(common, parsed, ct);
            if (state.Config?.Settings.GetValueOrDefault(known) is not { } value)
            {
                throw new CliException(
                    $"{known} is not changed for all monitors: each goes by its own file, or by the default.");
            }

            await parsed.InvocationConfiguration.Output.WriteLineAsync(parsed.GetValue(common.Json)
                ? JsonSerializer.Serialize(new { name = known, value }) : value);
            return CommandLine.Done;
        });
        return command;
    }

    private static Command Set()
    {
        Argument<string[]> settings = new("name=value")
        {
            Description =
                "max-failures=5 max-lag=1000000; all of them or none. An empty value (max-failures=) gives it back to the monitors' files",
            Arity = ArgumentArity.OneOrMore,
        };
        return ChangeRequest.Create(
            new Command("set", "Change settings for all monitors at once: all of them or, where one is wrong, none") { settings },
            parsed => new ChangeSettings(Allowed(Settings(parsed.GetValue(settings)!, Known))));
    }

    private static Command Edit()
    {
        CommonOptions common = new("--wait");
        Command command = common.AddTo(new Command("edit", "Edit the settings for all monitors with $VISUAL or $EDITOR"));
        command.SetAction(async (parsed, ct) =>
        {
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            ClusterState state = await reader.ReadAsync(ct);
            ClusterConfig config = state.Config ?? ClusterConfig.Empty;
            string file = Path.GetTempFileName();
            ImmutableSortedDictionary<string, string?> edited = await EditedAsync(file, config, ct);
            ImmutableSortedDictionary<string, string?> changed = edited.Where(e => config.Settings.GetValueOrDefault(e.Key) != e.Value)
                .Concat(config.Settings.Keys.Except(edited.Keys).Select(name => KeyValuePair.Create(name, (string?)null)))
                .ToImmutableSortedDictionary(StringComparer.Ordinal);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (changed.IsEmpty)
            {
                File.Delete(file);
                await ChangeRequest.TellAsync(
                    output, parsed.GetValue(common.Json), RequestOutcome.Done, "nothing was changed", ChangeRequest.Operator);
                return CommandLine.Done;
            }

            int outcome = CommandLine.Failed;
            try
            {
                var change = new ChangeSettings(Allowed(changed)) { ExpectedVersion = state.ConfigVersion };
                outcome = await ChangeRequest.AskAsync(reader, change, common.TimeoutOf(parsed), parsed.GetValue(common.Json), output, ct);
            }
            finally
            {
                await KeepAsync(file, outcome != CommandLine.Done, parsed.InvocationConfiguration.Error);
            }

            return outcome;
        });
        return command;
    }

    /// <summary>What somebody has typed is not thrown away because it was refused.</summary>
    private static Task KeepAsync(string file, bool isOfUse, TextWriter errors)
    {
        if (isOfUse)
        {
            return errors.WriteLineAsync($"redis-failover: what you wrote is kept in {file}");
        }

        File.Delete(file);
        return Task.CompletedTask;
    }

    private static string Lines(ClusterConfig config) => string.Concat(config.Settings.Select(s => $"{s.Key}={s.Value}\n"));

    /// <summary>Each once: which of two values is meant nobody can tell.</summary>
    private static ImmutableSortedDictionary<string, string?> Settings(IEnumerable<string> texts, Func<string, string> known)
    {
        ImmutableArray<(string Name, string? Value)> pairs = [.. texts.Select(Pair)];
        return Failures.Repeated(pairs.Select(p => known(p.Name))) is { } twice
            ? throw new CliException($"{twice} is given more than once; allowed: once.", CommandLine.WrongUsage)
            : pairs.ToImmutableSortedDictionary(p => p.Name, p => p.Value, StringComparer.Ordinal);
    }

    /// <summary>What is wrong by itself is told at once; what does not go with something else only the leading monitor knows.</summary>
    private static ImmutableSortedDictionary<string, string?> Allowed(ImmutableSortedDictionary<string, string?> settings)
    {
        foreach ((string name, string? value) in settings)
        {
            if (value is not null && ClusterSettings.Find(name) is { } values && !values.Allow(value))
            {
                throw new CliException(
                    $"{name}: '{Words.Quoted(value)}' is not allowed; allowed: {values.AllowedInFull}.", CommandLine.WrongUsage);
            }
        }

        return settings;
    }

    private static string Known(string name)
        => ClusterSettings.Names.Contains(name) ? name
            : throw new CliException(
                $"'{Words.Quoted(name)}' is no setting that can be changed for all monitors; allowed: "
                    + $"{Texts.List(ClusterSettings.Names)}.",
                CommandLine.WrongUsage);

    private static (string Name, string? Value) Pair(string text)
        => text.IndexOf('=', StringComparison.Ordinal) is > 0 and var equals
            ? (text[..equals].Trim(), text[(equals + 1)..].Trim() is { Length: > 0 } value ? value : null)
            : throw new CliException(
                $"'{Words.Quoted(text)}' is not name=value; allowed: max-failures=5, max-failures= (back to the monitors' files).",
                    CommandLine.WrongUsage);

    private static async Task<ClusterState> ReadAsync(CommonOptions common, ParseResult parsed, CancellationToken ct)
    {
        await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
        return await reader.ReadAsync(ct);
    }

    private static async Task<ImmutableSortedDictionary<string, string?>> EditedAsync(
        string file, ClusterConfig config, CancellationToken ct)
    {
        string? chosen = Environment.GetEnvironmentVariable("VISUAL") is { Length: > 0 } visual
            ? visual : Environment.GetEnvironmentVariable("EDITOR");
        string editor = chosen is { Length: > 0 } ? chosen : "vi";
        await File.WriteAllTextAsync(file,
            $"# One name=value a line; a line that is taken out gives the setting back to the monitors' files.\n{Lines(config)}", ct);
        using Process process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"{editor} \"$1\"", "sh", file]))
            ?? throw new CliException($"{editor} could not be started.");
        // Ctrl-C is the editor's: it goes to all that share the terminal.
        await process.WaitForExitAsync(CancellationToken.None);
        if (process.ExitCode != 0)
        {
            throw new CliException($"{editor} ended with exit code {process.ExitCode}: nothing is changed; the text is in {file}.");
        }

        try
        {
            return Settings((await File.ReadAllLinesAsync(file, CancellationToken.None)).Select(line => line.Trim())
                .Where(line => line.Length > 0 && line[0] != '#'), name => config.Settings.ContainsKey(name) ? name : Known(name));
        }
        catch (CliException e)
        {
            throw new CliException($"{e.Message} Nothing is changed; the text is in {file}.", e.ExitCode, e);
        }
    }
}
