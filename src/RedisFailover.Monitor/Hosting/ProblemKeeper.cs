using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Keeps the problems that this monitor tells: its own, which go into its view, and, while it leads, the cluster's, which go into
/// <c>R/problems</c>. Each is logged once when it begins and once when it ends.
/// </summary>
internal sealed class ProblemKeeper(string id, FailoverPolicy first, MonotonicClock clock, ILogger logger)
{
    private volatile FailoverPolicy _policy = first;
    private readonly ConcurrentDictionary<ProblemCode, Problem> _raised = new();
    private OpenProblems _own = OpenProblems.None;
    private OpenProblems _cluster = OpenProblems.None;
    private int? _term;
    private (int Term, ImmutableArray<Problem> Problems)? _inherited;
    private ImmutableArray<Problem>? _written;

    /// <summary>Told, under the term given, when the cluster's problems are others than those that were last told.</summary>
    internal Action<int, ImmutableArray<Problem>>? ClusterChanged { get; set; }

    /// <summary>What this monitor goes by.</summary>
    internal FailoverPolicy Policy
    {
        get => _policy;
        set => _policy = value;
    }

    /// <summary>This monitor's own problems that are told.</summary>
    internal ImmutableArray<Problem> Own => _own.Told;

    /// <summary>The cluster's problems that are told; none while another monitor leads.</summary>
    internal ImmutableArray<Problem> Cluster => _cluster.Told;

    /// <summary>Whether there is no problem, told or not.</summary>
    internal bool IsQuiet => _own.IsEmpty && _cluster.IsEmpty && _raised.IsEmpty;

    /// <summary>A part of this monitor has a problem, or, with null, has it no longer. One of each kind. From any thread.</summary>
    internal void Set(ProblemCode code, Problem? problem)
    {
        if (problem is null)
        {
            _raised.TryRemove(code, out _);
        }
        else
        {
            _raised[code] = problem;
        }
    }

    /// <summary>What a part of this monitor has set; null where it has not.</summary>
    internal Problem? Raised(ProblemCode code) => _raised.GetValueOrDefault(code);

    /// <summary>What the leader before had told, read at the start of a term: what lasts keeps its beginning. From any thread.</summary>
    internal void Inherit(int term, ImmutableArray<Problem> problems)
    {
        lock (_raised)
        {
            _inherited = (term, problems);
        }
    }

    /// <summary>Looks again; called by the coordinator alone.</summary>
    internal void See(ClusterView view, Readiness? readiness, Decision decision, TimeSpan now)
    {
        DateTimeOffset wallClock = clock.Provider.GetUtcNow();
        _own = Told(_own.See(ProblemRules.OfMonitor(id, view, _policy).Concat(_raised.Values), now, wallClock));
        if (view.Term != _term)
        {
            (_term, _written, _cluster) = (null, null, OpenProblems.None);
            if (view.Term is { } term && InheritedFor(term) is { } inherited)
            {
                (_term, _cluster) = (term, OpenProblems.Inherited(inherited, now));
            }
        }

        // Between a failed publication and the next reading nothing is known that could be told.
        if (_term is null || !view.TopologyKnown)
        {
            return;
        }

        _cluster = Told(_cluster.See(ProblemRules.OfCluster(view, _policy, now, readiness, decision), now, wallClock));
        ImmutableArray<Problem> told = _cluster.Told;
        if (_written is not { } written || !Problem.SayTheSame(written, told))
        {
            _written = told;
            ClusterChanged?.Invoke(_term.Value, told);
        }
    }

    private ImmutableArray<Problem>? InheritedFor(int term)
    {
        lock (_raised)
        {
            return _inherited is { } inherited && inherited.Term == term ? inherited.Problems : null;
        }
    }

    private OpenProblems Told(ProblemChanges changes)
    {
        foreach (Problem problem in changes.Begun)
        {
            Log.ProblemBegins(
                logger, problem.Severity == ProblemSeverity.Critical
                    ? LogLevel.Error : LogLevel.Warning, problem.Code.Name, problem.Message);
        }

        foreach (Problem problem in changes.Ended)
        {
            Log.ProblemEnds(
                logger, problem.Code.Name, string.Join(", ", problem.Subjects),
                    (clock.Provider.GetUtcNow() - (problem.Since ?? default)).TotalSeconds);
        }

        return changes.Next;
    }
}
