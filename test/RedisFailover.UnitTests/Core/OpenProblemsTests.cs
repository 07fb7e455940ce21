using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class OpenProblemsTests
{
    private static readonly DateTimeOffset Start = new(2026, 11, 29, 3, 0, 0, TimeSpan.Zero);
    private static readonly Problem Down = Problem.Of(ProblemCatalogue.NodeUnavailable, "a:1 is unavailable", new NodeAddress("a", 1));
    private static readonly Problem Worse = Problem.Of(ProblemCatalogue.NoCandidate, "nobody could take over");

    [Test]
    public void A_problem_is_told_once_it_has_lasted_with_its_beginning()
    {
        ProblemChanges first = See(OpenProblems.None, 10, Down);
        ProblemChanges early = See(first.Next, 10.9, Down);
        ProblemChanges due = See(early.Next, 11, Down);
        ProblemChanges later = See(due.Next, 20, Down);

        Assert.Multiple(() =>
        {
            Assert.That(first.Begun.Concat(early.Begun), Is.Empty);
            Assert.That(early.Next.Told, Is.Empty);
            Assert.That(due.Begun, Has.Length.EqualTo(1));
            Assert.That(later.Begun, Is.Empty);
            Assert.That(later.Next.Told.Single().Since, Is.EqualTo(Start.AddSeconds(10)));
        });
    }

    [Test]
    public void One_that_began_before_it_was_found_keeps_that_time()
    {
        ProblemChanges seen = See(OpenProblems.None, 10, Down with { From = TimeSpan.FromSeconds(7) });

        Assert.That(seen.Begun.Single().Since, Is.EqualTo(Start.AddSeconds(7)));
    }

    [Test]
    public void One_that_goes_to_and_fro_is_told_once()
    {
        OpenProblems open = See(See(OpenProblems.None, 0, Down).Next, 1, Down).Next;
        List<Problem> told = [];
        for (double second = 1; second < 5; second += 0.5)
        {
            ProblemChanges changes = second % 1 == 0 ? See(open, second) : See(open, second, Down);
            told.AddRange([.. changes.Begun, .. changes.Ended]);
            open = changes.Next;
        }

        Assert.That(told, Is.Empty);
        Assert.That(See(See(open, 5).Next, 6).Ended, Has.Length.EqualTo(1));
    }

    [Test]
    public void The_next_leader_goes_on_with_the_list_and_ends_what_is_over()
    {
        Problem told = Down with { Since = Start };
        OpenProblems inherited = OpenProblems.Inherited([told, Worse with { Since = Start }], TimeSpan.FromSeconds(100));

        ProblemChanges changes = See(See(inherited, 100, Down).Next, 101.5, Down);

        Assert.Multiple(() =>
        {
            Assert.That(changes.Begun, Is.Empty);
            Assert.That(changes.Next.Told.Single().Since, Is.EqualTo(Start));
            Assert.That(changes.Ended.Single().Code, Is.EqualTo(ProblemCatalogue.NoCandidate));
        });
    }

    [Test]
    public void The_worst_comes_first()
    {
        OpenProblems open = See(See(OpenProblems.None, 0, Down, Worse).Next, 2, Down, Worse).Next;

        Assert.That(open.Told.Select(p => p.Code), Is.EqualTo(new[] { ProblemCatalogue.NoCandidate, ProblemCatalogue.NodeUnavailable }));
    }

    private static ProblemChanges See(OpenProblems open, double seconds, params Problem[] found)
        => open.See(found, TimeSpan.FromSeconds(seconds), Start.AddSeconds(seconds));
}
