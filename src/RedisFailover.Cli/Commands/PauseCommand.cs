using System.CommandLine;

namespace RedisFailover.Cli.Commands;

/// <summary>pause and resume: failover off for a maintenance, and on again.</summary>
internal static class PauseCommand
{
    internal static Command Create()
    {
        Option<TimeSpan?> time = Durations.Option(
            "--for", "Ends by itself after this time (default: with resume alone)", null, TimeSpan.FromSeconds(1), TimeSpan.FromDays(14));
        Option<string?> note = new("--note") { Description = "What for, for those who see it in status", HelpName = "text" };
        return ChangeRequest.Create(
            new Command(
                "pause",
                "Switch failover off: nothing is promoted, demoted or repointed until resume, or until --for is up")
            {
                time, note,
            },
            parsed => new PauseFailover(parsed.GetValue(time)) { Note = parsed.GetValue(note) ?? "" });
    }

    internal static Command CreateResume()
        => ChangeRequest.Create(
            new Command("resume", "Switch failover on again after a pause"),
            _ => new ResumeFailover());
}
