using NUnit.Framework;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class RedisCredentialsTests
{
    [Test]
    public void A_password_in_a_file_is_read_anew_for_each_login_and_the_last_one_is_kept_while_the_file_is_away()
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, "first\n");
            var credentials = new RedisCredentials("monitor", "first", file);
            Assert.That(credentials.Command, Is.EqualTo(new[] { "AUTH", "monitor", "first" }));
            File.WriteAllText(file, "second\n");
            Assert.That(credentials.Command, Is.EqualTo(new[] { "AUTH", "monitor", "second" }));
            File.Delete(file);
            Assert.That(credentials.Command, Is.EqualTo(new[] { "AUTH", "monitor", "second" }));
            Assert.That(credentials.ToString(), Is.EqualTo("user monitor"));
        }
        finally
        {
            File.Delete(file);
        }
    }
}
