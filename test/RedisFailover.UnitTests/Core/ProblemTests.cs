using System.Reflection;
using System.Text;
using NUnit.Framework;
using RedisFailover.UnitTests.Documents;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class ProblemTests
{
    private static readonly NodeAddress A = new("a", 1);
    private static readonly NodeAddress B = new("b", 1);

    [Test]
    public void Every_code_of_the_catalogue_stands_in_its_list_once()
    {
        IEnumerable<object?> properties = typeof(ProblemCatalogue).GetProperties(BindingFlags.Static | BindingFlags.Public)
            .Where(p => p.PropertyType == typeof(ProblemCode)).Select(p => p.GetValue(null));

        Assert.Multiple(() =>
        {
            Assert.That(ProblemCatalogue.All, Is.EquivalentTo(properties));
            Assert.That(ProblemCatalogue.All.Select(c => c.Name), Is.Unique.And.All.Match("^[a-z]+(-[a-z]+)*$"));
            Assert.That(ProblemCatalogue.All.Select(c => c.Advice), Is.All.Match("^.{10,140}\\.$"));
        });
    }

    [Test]
    public void The_document_has_a_section_for_each_code_with_its_severity_and_what_to_do()
    {
        string[] sections = File.ReadAllText(Path.Combine(Document.Root, "docs", "problems.md")).Split("\n## ")[1..];

        Assert.That(sections.Select(s => s.Split('\n')[0]), Is.EqualTo(ProblemCatalogue.All.Select(c => c.Name)));
        Assert.Multiple(() =>
        {
            foreach ((string section, ProblemCode code) in sections.Zip(ProblemCatalogue.All))
            {
                string text = section.ReplaceLineEndings(" ");
                Assert.That(text, Does.Contain($"{ProblemJson.Name(code.Severity)}. "), code.Name);
                Assert.That(text, Does.Contain($"*What to do:* {code.Advice}"), code.Name);
            }
        });
    }

    [Test]
    public void A_problem_is_read_as_written()
    {
        Problem problem = Problem.Of(ProblemCatalogue.ReplicaLinkDown, "b:1 and a:1 have no link", B, A) with
        {
            Severity = ProblemSeverity.Critical,
            Since = new DateTimeOffset(2026, 11, 29, 3, 4, 5, 678, TimeSpan.Zero),
        };

        Assert.That(ProblemJson.Parse(ProblemJson.Write([problem])), Is.EqualTo(new[] { problem }));
    }

    [Test]
    public void A_code_of_a_later_version_is_kept_with_what_it_says()
    {
        Problem read = ProblemJson.Parse("""[{"code":"disk-full","severity":"critical","message":"m","advice":"d","more":1}]"""u8.ToArray())[0];

        Assert.Multiple(() =>
        {
            Assert.That(read.Code.Name, Is.EqualTo("disk-full"));
            Assert.That((read.Severity, read.Message, read.Advice), Is.EqualTo((ProblemSeverity.Critical, "m", "d")));
        });
    }

    [Test]
    public void Figures_make_no_other_problem_but_subjects_do()
    {
        Problem one = Problem.Of(ProblemCatalogue.ReplicaStale, "for 3 s", A);

        Assert.Multiple(() =>
        {
            Assert.That(one.IsSameAs(Problem.Of(ProblemCatalogue.ReplicaStale, "for 4 s", A)));
            Assert.That(one.IsSameAs(Problem.Of(ProblemCatalogue.ReplicaStale, "for 3 s", B)), Is.False);
            Assert.That(one.IsSameAs(Problem.Of(ProblemCatalogue.ReplicaLinkDown, "for 3 s", A)), Is.False);
        });
    }

    [TestCase("{}", "not a list")]
    [TestCase("[1]", "an object")]
    [TestCase("[{}]", "no \"code\"")]
    [TestCase("[{\"code\":\"x\",\"subjects\":[1]}]", "a list of strings")]
    [TestCase("no", "is not JSON")]
    public void A_list_that_is_none_is_refused(string text, string word)
        => Assert.That(() => ProblemJson.Parse(Encoding.UTF8.GetBytes(text)), Throws.TypeOf<FormatException>().With.Message.Contains(word));
}
