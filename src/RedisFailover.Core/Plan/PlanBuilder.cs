namespace RedisFailover;

/// <summary>Collects what is to be done, what has to be told, when to look again and why; a phase fills it.</summary>
internal sealed class PlanBuilder
{
    private readonly List<FailoverAction> _actions = [];
    private readonly List<Problem> _problems = [];
    private string _reason;

    private PlanBuilder(string reason) => _reason = reason;

    internal IReadOnlyList<FailoverAction> Actions => _actions;

    internal TimeSpan? WakeAt { get; private set; }

    internal string Reason => _reason;

    /// <summary>A plan with its reason, in plain words: for the log and the history.</summary>
    internal static PlanBuilder Because(string reason) => new(reason);

    /// <summary>These actions, after those that are there.</summary>
    internal PlanBuilder Do(params IEnumerable<FailoverAction> actions)
    {
        _actions.AddRange(actions);
        return this;
    }

    /// <summary>These actions before those that are there.</summary>
    internal PlanBuilder First(params IEnumerable<FailoverAction> actions)
    {
        _actions.InsertRange(0, actions);
        return this;
    }

    /// <summary>What needs a person. They are told in the order in which they are reported.</summary>
    internal PlanBuilder Report(Problem problem)
    {
        _problems.Add(problem);
        return this;
    }

    /// <summary>That the reason itself needs a person.</summary>
    internal PlanBuilder ReportReason(ProblemCode code, params IEnumerable<NodeAddress> nodes) => Report(Problem.Of(code, _reason, nodes));

    /// <summary>Look again at this time at the latest; null adds nothing.</summary>
    internal PlanBuilder WakeBy(TimeSpan? at)
    {
        WakeAt = WakeAt is null || at < WakeAt ? at ?? WakeAt : WakeAt;
        return this;
    }

    /// <summary>Another reason than the one that it began with.</summary>
    internal PlanBuilder With(string reason)
    {
        _reason = reason;
        return this;
    }

    /// <summary>Only the actions that pass.</summary>
    internal PlanBuilder Only(Func<FailoverAction, bool> passes)
    {
        _actions.RemoveAll(a => !passes(a));
        return this;
    }

    internal Decision Build()
        => new([.. _actions], WakeAt, _reason, _problems.Count == 0 ? null : string.Join("; ", _problems.Select(p => p.Message)))
    {
        Problems = [.. _problems],
    };
}
