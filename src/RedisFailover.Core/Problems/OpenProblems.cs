using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What has begun and ended with one look at the problems.</summary>
/// <param name="Next">The list from now on.</param>
/// <param name="Begun">Those that are told of for the first time.</param>
/// <param name="Ended">Those that were told of and are over.</param>
internal sealed record ProblemChanges(OpenProblems Next, ImmutableArray<Problem> Begun, ImmutableArray<Problem> Ended);

/// <summary>
/// The problems that are open, on one monitor's clock: since when, and whether they have lasted long enough to be told. Immutable.
/// </summary>
internal sealed record OpenProblems
{
    private readonly ImmutableArray<Entry> _entries = [];

    private OpenProblems(ImmutableArray<Entry> entries) => _entries = entries;

    /// <summary>No problem.</summary>
    public static OpenProblems None { get; } = new([]);

    /// <summary>
    /// Those that are told, the worst first, then in the order of the catalogue; each with its <see cref="Problem.Since"/>.
    /// </summary>
    public ImmutableArray<Problem> Told => [.. InOrder(_entries.Where(e => e.IsTold).Select(e => e.Problem))];

    /// <summary>Whether there is none, told or not.</summary>
    public bool IsEmpty => _entries.IsEmpty;

    /// <summary>The list as another leader left it: what lasts keeps its beginning and is not told again.</summary>
    public static OpenProblems Inherited(ImmutableArray<Problem> told, TimeSpan now)
        => new([.. told.Select(p => new Entry(p, now, now, IsTold: true))]);

    /// <summary>The worst first, then in the order of the catalogue.</summary>
    public static IEnumerable<Problem> InOrder(IEnumerable<Problem> problems)
        => problems.OrderByDescending(p => p.Severity)
            .ThenBy(p => ProblemCatalogue.All.IndexOf(p.Code) is var i && i < 0 ? int.MaxValue : i)
            .ThenBy(p => string.Join(' ', p.Subjects), StringComparer.Ordinal);

    /// <summary>Takes note of what is found now.</summary>
    /// <param name="found">All problems that there are now.</param>
    /// <param name="now">The time on the monotonic clock.</param>
    /// <param name="wallClock">The same moment by the wall clock, for <see cref="Problem.Since"/>.</param>
    public ProblemChanges See(IEnumerable<Problem> found, TimeSpan now, DateTimeOffset wallClock)
    {
        ArgumentNullException.ThrowIfNull(found);
        var entries = ImmutableArray.CreateBuilder<Entry>();
        var begun = ImmutableArray.CreateBuilder<Problem>();
        var ended = ImmutableArray.CreateBuilder<Problem>();
        foreach (Problem problem in found)
        {
            if (entries.Any(e => e.Problem.IsSameAs(problem)))
            {
                continue;
            }

            Entry? before = _entries.FirstOrDefault(e => e.Problem.IsSameAs(problem));
            TimeSpan from = before?.From ?? (problem.From is { } told && told < now ? told : now);
            var entry = new Entry(
                problem with { Since = before?.Problem.Since ?? wallClock - (now - from) }, from, now, before?.IsTold == true
                    || now - from >= problem.Code.Patience);
            entries.Add(entry);
            if (entry.IsTold && before is not { IsTold: true })
            {
                begun.Add(entry.Problem);
            }
        }

        foreach (Entry gone in _entries.Where(e => !entries.Any(n => n.Problem.IsSameAs(e.Problem))))
        {
            if (gone.IsTold && now - gone.Seen < gone.Problem.Code.Patience)
            {
                entries.Add(gone);
            }
            else if (gone.IsTold)
            {
                ended.Add(gone.Problem);
            }
        }

        return new ProblemChanges(new OpenProblems(entries.ToImmutable()), begun.ToImmutable(), ended.ToImmutable());
    }

    private sealed record Entry(Problem Problem, TimeSpan From, TimeSpan Seen, bool IsTold);
}
