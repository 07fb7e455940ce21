using System.Collections.Immutable;
using System.CommandLine;
using System.Text;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>history: the last changes of master, the oldest first.</summary>
internal static class HistoryCommand
{
    internal static Command Create()
    {
        CommonOptions common = new();
        Option<TimeSpan?> since = Durations.Option(
            "--since", "Only what happened within this time", null, TimeSpan.FromSeconds(1), TimeSpan.FromDays(10_000), bare: "h");
        Command command = common.AddTo(
                new Command("history",
                    "Show the changes of master that the monitors noted, the oldest first: what, how long each step took, what may be "
                        + "lost, why")
        {
            since,
        });
        command.SetAction(async (parsed, ct) =>
        {
            await using ClusterReader reader = await common.ConnectAsync(parsed, ct);
            ImmutableArray<HistoryEntry> entries = await reader.ReadableHistoryAsync(ct);
            if (entries.IsEmpty)
            {
                await reader.RequireTopologyAsync(ct);
            }

            if (parsed.GetValue(since) is { } time)
            {
                DateTimeOffset from = TimeProvider.System.GetUtcNow() - time;
                entries = [.. entries.Where(e => e.At >= from)];
            }

            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(common.Json))
            {
                await output.WriteAsync(Encoding.UTF8.GetString(HistoryJson.Write(entries)));
                return CommandLine.Done;
            }

            foreach (HistoryEntry entry in entries)
            {
                await output.WriteLineAsync(Texts.Change(entry));
                if (!entry.Millis.IsEmpty)
                {
                    await output.WriteLineAsync($"    {Texts.Steps(entry.Millis)}");
                }
            }

            if (entries.IsEmpty)
            {
                await output.WriteLineAsync("no change is recorded");
            }

            return CommandLine.Done;
        });
        return command;
    }
}
