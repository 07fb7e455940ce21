using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using RedisFailover.Monitor.Options;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// For tests alone: one place in a failover or switchover at which this monitor kills or freezes itself without any farewell, as a
/// machine does that loses its power. Given by the environment variable REDIS_FAILOVER_FAULT_POINT, read once at the start, as
/// <c>kill:after-intent</c>; without it, as in production, nothing is ever looked at.
/// </summary>
internal sealed class FaultPoint
{
    /// <summary>The environment variable.</summary>
    internal const string Variable = "REDIS_FAILOVER_FAULT_POINT";

    /// <summary>An action is about to begin: the lease was asked, nothing has been sent.</summary>
    internal const string Before = "before";

    /// <summary>The action's commands have been sent to the node, their answers have not been read.</summary>
    internal const string Sent = "sent";

    /// <summary>The action has succeeded; nothing has followed from it yet.</summary>
    internal const string After = "after";

    private const int SigKill = 9;
    private const int SigStop = 19;
    private static readonly string[] Steps =
        ["intent", "detachment", "pause", "promotion", "publication", "repointing", "demotion", "resumption"];
    private static readonly string[] WithoutNode = ["intent", "publication"];
    private readonly string _place;
    private readonly int _signal;
    private int _passed;

    private FaultPoint(string place, int signal)
    {
        _place = place;
        _signal = signal;
    }

    /// <summary>As it was given.</summary>
    public override string ToString() => (_signal == SigKill ? "kill:" : "freeze:") + _place;

    /// <summary>The fault point that the environment asks for; null when it asks for none.</summary>
    /// <exception cref="OptionException">It is no such place.</exception>
    internal static FaultPoint? Read(IDictionary environment)
    {
        if (environment[Variable] is not string { Length: > 0 } given)
        {
            return null;
        }

        IEnumerable<string> places = Steps.SelectMany(
            step => WithoutNode.Contains(step) ? new[] { Before, After } : [Before, Sent, After], (step, moment) => $"{moment}-{step}");
        return given.Split(':') switch
        {
            ["kill", var place] when places.Contains(place) => new FaultPoint(place, SigKill),
            ["freeze", var place] when places.Contains(place) => new FaultPoint(place, SigStop),
            _ => throw new OptionException(
                $"{Variable} (for tests alone): '{given}' is not allowed; allowed: kill:PLACE or freeze:PLACE, PLACE being one of "
                    + $"{string.Join(", ", places)}"),
        };
    }

    /// <summary>Ends or freezes this process if this is the place, the first time that it is reached.</summary>
    internal void Reached(string moment, FailoverAction action)
    {
        if (Step(action) is { } step && _place == $"{moment}-{step}" && Interlocked.Exchange(ref _passed, 1) == 0)
        {
            _ = SendSignal(Environment.ProcessId, _signal);
        }
    }

    private static string? Step(FailoverAction action) => action switch
    {
        PublishTopology { Next.IsChangingMaster: true } => "intent",
        PublishTopology { Record.Kind: HistoryKind.Failover or HistoryKind.Switchover or HistoryKind.Restored } => "publication",
        Detach => "detachment",
        PauseWrites => "pause",
        Promote => "promotion",
        Follow => "repointing",
        Demote => "demotion",
        ResumeWrites => "resumption",
        _ => null,
    };

    [SuppressMessage("Interoperability", "SYSLIB1054", Justification = "No unsafe code for one call.")]
    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SendSignal(int pid, int signal);
}
